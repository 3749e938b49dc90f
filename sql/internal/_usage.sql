create or replace function _usage(metric metrics, subject text, since timestamptz, until timestamptz)
returns usage_state
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_coarse text := _coarse_bucket(_usage.metric.period, _usage.metric.rollup);
    v_state  usage_state;
begin
    -- A whole coarse bucket, such as the current period, is what quotas ask for most: one read by primary key.
    if _bucket_start(v_coarse, _usage.since) = _usage.since and _bucket_end(v_coarse, _usage.since) = _usage.until then
        select coalesce(sum(event_count), 0), coalesce(_quantity(_usage.metric.aggregate, sum(event_count)::bigint,
                   sum(total), min(lowest), max(highest), (array_agg(latest order by last_at desc, last_event_id desc))[1]), 0)
        into v_state
        from rollups
        where subject = _usage.subject and metric = _usage.metric.key and bucket = v_coarse and bucket_start = _usage.since;
    else
        select * into v_state
        from _usages(_usage.metric, _usage.subject, array[_cut_window(_usage.metric, _usage.since, _usage.until)]);
    end if;
    return v_state;
end
$$;

comment on function _usage(metrics, text, timestamptz, timestamptz) is
    'The events and the quantity of one subject and metric in [since, until), null for an open side; 0 and 0 if there are none. '
    'Raises UM006 and 40001 as _check_logs() does.';
