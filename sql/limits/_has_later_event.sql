-- Where the log has lost months, rollups tell of the latest event of each fine bucket.
create or replace function _has_later_event(metric metrics, series_id integer, at timestamptz, event_id bigint, until timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_fine  text := (_has_later_event.metric).fine_bucket;
    v_until timestamptz := coalesce(_has_later_event.until, 'infinity');
begin
    return exists (
        select from events e
        where e.series_id = _has_later_event.series_id and e.at >= _has_later_event.at and e.at < v_until
          and (e.at, e.event_id) > (_has_later_event.at, _has_later_event.event_id)
          -- Not asked unless there is such an event.
          and e.event_id <> all ((select l.left_out from _uncounted_rows(_has_later_event.series_id, _has_later_event.at, v_until) l)::bigint[])
    ) or exists (
        select from rollups r
        where r.series_id = _has_later_event.series_id and r.bucket = v_fine and r.bucket_start < v_until
          and r.bucket_start >= _bucket_start(v_fine, _has_later_event.at)
          and r.latest > _latest(_has_later_event.at, _has_later_event.event_id, 0) and r.latest[1] < extract(epoch from v_until));
end
$$;

comment on function _has_later_event(metrics, integer, timestamptz, bigint, timestamptz) is
    'Whether a series of an aggregate last has an event before until that hides one at an instant; a null until leaves that side open.';
