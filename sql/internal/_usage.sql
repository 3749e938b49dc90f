-- A sum over the pieces that _cut_window() describes; exact for every window.
create or replace function _usage(metric metrics, subject text, since timestamptz, until timestamptz)
returns usage_state
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_key     text := (_usage.metric).key;
    v_fine    text := _fine_bucket((_usage.metric).period, (_usage.metric).rollup);
    v_coarse  text := _coarse_bucket((_usage.metric).period, (_usage.metric).rollup);
    v_cut     window_cut;
    v_buckets bigint;
    v_state   usage_state;
begin
    -- A whole coarse bucket, such as the current period, is what quotas ask for most: one read by primary key.
    if _bucket_start(v_coarse, _usage.since) = _usage.since and _bucket_end(v_coarse, _usage.since) = _usage.until then
        select coalesce(sum(event_count), 0), coalesce(_quantity((_usage.metric).aggregate, sum(event_count)::bigint,
                   sum(total), min(lowest), max(highest), (array_agg(latest order by last_at desc, last_event_id desc))[1]), 0)
        into v_state
        from rollups
        where subject = _usage.subject and metric = v_key and bucket = v_coarse and bucket_start = _usage.since;
        return v_state;
    end if;

    v_cut := _cut_window(_usage.metric, _usage.since, _usage.until);
    select count(distinct p.bucket_start) filter (where (_usage.metric).aggregate = 'unique'), coalesce(sum(p.event_count), 0),
           _quantity((_usage.metric).aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest),
               (array_agg(p.latest order by p.last_at desc, p.last_event_id desc)
                   filter (where (_usage.metric).aggregate = 'last'))[1])
    into v_buckets, v_state.event_count, v_state.quantity
    from (
        select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
        from rollups
        where subject = _usage.subject and metric = v_key and bucket = v_coarse
          and bucket_start >= v_cut.coarse_since and bucket_start < v_cut.coarse_until
        union all
        select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
        from rollups
        where subject = _usage.subject and metric = v_key and bucket = v_fine
          and bucket_start >= v_cut.fine_since and bucket_start < v_cut.coarse_since
        union all
        select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
        from rollups
        where subject = _usage.subject and metric = v_key and bucket = v_fine
          and bucket_start >= v_cut.coarse_until and bucket_start < v_cut.fine_until
        union all
        select null, 1, quantity, quantity, quantity, quantity, at, event_id
        from events
        where subject = _usage.subject and metric = v_key and at >= v_cut.since and at < v_cut.fine_since
        union all
        select null, 1, quantity, quantity, quantity, quantity, at, event_id
        from events
        where subject = _usage.subject and metric = v_key and at >= v_cut.fine_until and at < v_cut.until
    ) p;
    if v_cut.since < v_cut.fine_since or v_cut.fine_until < v_cut.until then
        perform _check_log(_usage.metric, _usage.subject, v_cut);
    end if;
    -- Members of several pieces overlap; of one bucket they have been counted.
    if (_usage.metric).aggregate = 'unique' and (v_buckets > 1 or v_cut.since < v_cut.fine_since or v_cut.fine_until < v_cut.until) then
        v_state.quantity := _distinct_members(_usage.metric, _usage.subject, v_cut);
    end if;
    v_state.quantity := coalesce(v_state.quantity, 0);
    return v_state;
end
$$;

comment on function _usage(metrics, text, timestamptz, timestamptz) is
    'The events and the quantity of one subject and metric in [since, until), null for an open side; 0 and 0 if there are none. '
    'Raises UM006 and 40001 as _check_log() does.';
