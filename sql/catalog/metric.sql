create or replace function metric(key text)
returns metrics
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    if _is_open('metric') then perform _check_caller('metric'); end if;
    return _get_metric(metric.key);
end
$$;

comment on function metric(text) is
    'Returns the definition of one metric, retired or not: its row of catalog(). Raises 22004 for a null key, UM001 for an unknown metric. '
    'Example: SELECT key, aggregate, unit, period, rollup FROM meter.metric(''tokens'');';
