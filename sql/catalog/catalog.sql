create or replace function catalog()
returns setof metrics
language sql
stable
security definer
set search_path from current
as $$
    select * from metrics order by key
$$;

comment on function catalog() is 'Every metric, retired ones included, by key.';
