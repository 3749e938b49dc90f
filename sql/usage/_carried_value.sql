-- One lookup by primary key: the condition compares whole rows, so that no other index can be used. The log is read only if the newest
-- bucket contains the instant. Planning of pushes does not use carried values: only recorded usage is reported.
create or replace function _carried_value(metric metrics, subject text, since timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_key    text := (_carried_value.metric).key;
    v_fine   text := (_carried_value.metric).fine_bucket;
    v_rollup rollups;
    v_event  events;
begin
    if not (_carried_value.metric).carry or (_carried_value.metric).retired_at <= _carried_value.since then
        return null;
    end if;
    select * into v_rollup
    from rollups r
    where (r.subject, r.metric, r.bucket, r.bucket_start) >= (_carried_value.subject, v_key, v_fine, '-infinity')
      and (r.subject, r.metric, r.bucket, r.bucket_start) < (_carried_value.subject, v_key, v_fine, _carried_value.since)
    order by r.subject desc, r.metric desc, r.bucket desc, r.bucket_start desc, r.last_at desc, r.last_event_id desc
    limit 1;
    if v_rollup.last_at is null or v_rollup.last_at < _carried_value.since then
        return v_rollup.latest;
    end if;
    select * into v_event
    from events e
    where e.subject = _carried_value.subject and e.metric = v_key and e.at >= v_rollup.bucket_start and e.at < _carried_value.since
    order by e.at desc, e.event_id desc
    limit 1;
    perform _check_edges(_carried_value.metric, _carried_value.subject, (
        coalesce(v_event.at, v_rollup.bucket_start), _carried_value.since, _carried_value.since, _carried_value.since,
        _carried_value.since, _carried_value.since)::window_cut);
    if v_event.at is not null then
        return v_event.quantity;
    end if;
    return _carried_value(_carried_value.metric, _carried_value.subject, v_rollup.bucket_start);
end
$$;

comment on function _carried_value(metrics, text, timestamptz) is
    'Returns the last value before an instant, for a metric with carry. Returns null if there is none, if the metric has no carry, or '
    'from the time when the metric was retired. Raises UM006 and 40001 as _check_edges() does.';
