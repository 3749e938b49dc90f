-- Two look-ups by primary key: the open buckets, and the newest one of the others that has a value. A bucket whose events were all voided has none.
-- The log is read only if the instant lies in the newest bucket, before its latest event. Planning of pushes does not use carried values: only
-- recorded usage is reported.
create or replace function _carried_value(metric metrics, series_id integer, since timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_fine   text := (_carried_value.metric).fine_bucket;
    v_bucket rollups;
    v_event  events;
    v_left_out bigint[];
begin
    if not (_carried_value.metric).carry or (_carried_value.metric).retired_at <= _carried_value.since then
        return null;
    end if;
    select p.bucket_start, max(p.latest) into v_bucket.bucket_start, v_bucket.latest
    from (
        select r.bucket_start, r.latest
        from rollups r
        where r.series_id = _carried_value.series_id and r.bucket = v_fine and r.bucket_start = (
            select n.bucket_start
            from rollups n
            where n.series_id = _carried_value.series_id and n.bucket = v_fine and n.bucket_start < _carried_value.since and n.latest is not null
            order by n.bucket_start desc
            limit 1)
        union all
        select o.bucket_start, o.latest
        from unnest(_open_rollups(_carried_value.metric, _carried_value.series_id)) o
        where o.bucket = v_fine and o.bucket_start < _carried_value.since and o.latest is not null
    ) p
    group by p.bucket_start
    order by p.bucket_start desc
    limit 1;
    if v_bucket.latest is null or v_bucket.latest[1] < extract(epoch from _carried_value.since) then
        return v_bucket.latest[3];
    end if;
    v_left_out := (_uncounted_rows(_carried_value.series_id, v_bucket.bucket_start, _carried_value.since)).left_out;
    select * into v_event
    from events e
    where e.series_id = _carried_value.series_id and e.at >= v_bucket.bucket_start and e.at < _carried_value.since and e.event_id <> all (v_left_out)
    order by e.at desc, e.event_id desc
    limit 1;
    perform _check_edges(_carried_value.metric, _carried_value.series_id, (
        coalesce(v_event.at, v_bucket.bucket_start), _carried_value.since, _carried_value.since, _carried_value.since,
        _carried_value.since, _carried_value.since)::window_cut);
    if v_event.at is not null then
        return v_event.quantity;
    end if;
    return _carried_value(_carried_value.metric, _carried_value.series_id, v_bucket.bucket_start);
end
$$;

comment on function _carried_value(metrics, integer, timestamptz) is
    'Returns the last value of a series before an instant, for a metric with carry. Returns null if there is none, if the metric has no '
    'carry, or from the time when the metric was retired. Raises UM006 and 40001 as _check_edges() does.';
