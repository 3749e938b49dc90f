-- One statement, so one snapshot: an event and its rollup commit together and are seen together, or not at all. The stripes of a
-- bucket are put together first.
create or replace function _drifts(subject text, metric text, with_members boolean)
returns setof rollup_drift
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_dropped timestamptz[] := array(select _dropped_months());
begin
    return query
    with striped as materialized (
        select distinct subject, metric, bucket, bucket_start from rollups where stripe > 0
    ), stored as (
        select t.subject, t.metric, t.bucket, t.bucket_start, t as rollup
        from rollups t
        where (_drifts.subject is null or t.subject = _drifts.subject) and (_drifts.metric is null or t.metric = _drifts.metric)
          and not exists (
              select from striped x
              where (x.subject, x.metric, x.bucket, x.bucket_start) = (t.subject, t.metric, t.bucket, t.bucket_start))
        union all
        select subject, metric, bucket, bucket_start,
               (bucket_start, sum(event_count), max(last_at),
                (array_agg(last_event_id order by last_at desc, last_event_id desc nulls last))[1], 0, subject, metric, bucket,
                sum(total), min(lowest), max(highest),
                (array_agg(latest order by last_at desc, last_event_id desc nulls last))[1])::rollups
        from rollups t
        join striped using (subject, metric, bucket, bucket_start)
        where (_drifts.subject is null or t.subject = _drifts.subject) and (_drifts.metric is null or t.metric = _drifts.metric)
        group by subject, metric, bucket, bucket_start
    ), recomputed as (
        select t.subject, t.metric, t.bucket, t.bucket_start, t as rollup
        from _recompute(_drifts.subject, _drifts.metric) t
    )
    select subject, metric, bucket, bucket_start, s.rollup, r.rollup, m.bucket is not null
    from stored s
    full join recomputed r using (subject, metric, bucket, bucket_start)
    full join (
        select * from _drifting_members(_drifts.subject, _drifts.metric) where _drifts.with_members
    ) m using (subject, metric, bucket, bucket_start)
    where (s.rollup is distinct from r.rollup or m.bucket is not null)
      and not _overlaps_months(v_dropped, bucket_start, _bucket_end(bucket, bucket_start));
end
$$;

comment on function _drifts(text, text, boolean) is
    'Every rollup of one subject and metric (null: all) that does not equal the log, or, if asked for, whose members do not.';
