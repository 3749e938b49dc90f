create or replace function catalog()
returns setof metrics
language sql
stable
security definer
set search_path from current
as $$
    select * from metrics where not _is_open('catalog') or _check_caller('catalog') order by key
$$;

comment on function catalog() is
    'Returns every metric, including retired ones, ordered by key. '
    'Example: SELECT key, aggregate, unit, period, rollup FROM meter.catalog();';
