create or replace function plans()
returns setof plans
language sql
stable
security definer
set search_path from current
as $$
    select * from plans where not _is_open('plans') or _check_caller('plans') order by plan
$$;

comment on function plans() is 'Returns every plan, ordered by key. Example: SELECT plan, name FROM meter.plans();';
