create or replace function spike_alerts()
returns setof spike_alerts
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('spike_alerts') then perform _check_caller('spike_alerts'); end if;
    return query
        select a.* from spike_alerts a
        where (select _all_here()) or _is_here(a.subject)
        order by a.metric, a.subject nulls first, a.within;
end
$$;

comment on function spike_alerts() is
    'Returns the alerts about spikes, by metric and subject. Example: SELECT metric, factor FROM meter.spike_alerts();';
