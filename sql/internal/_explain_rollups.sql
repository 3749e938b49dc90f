-- Only the buckets of a week or longer are added up: they are few, and those of the other kinds have no totals of their own. Members do
-- not add up: what was dropped in one part has been counted, what comes from several is counted anew.
create or replace function _explain_rollups(subject text, metric text)
returns setof rollups
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    if not exists (select from dropped_rollups) then
        return query select * from _recompute(_explain_rollups.subject, _explain_rollups.metric);
        return;
    end if;
    return query
    with logged as materialized (
        select * from _recompute(_explain_rollups.subject, _explain_rollups.metric)
    ), parts as (
        select bucket_start, event_count, last_at, last_event_id, subject, metric, bucket, total, lowest, highest, latest
        from logged
        where bucket in ('week', 'month', 'year', 'never')
        union all
        select d.bucket_start, d.event_count, d.last_at, d.last_event_id, d.subject, d.metric, d.bucket,
               d.total, d.lowest, d.highest, d.latest
        from dropped_rollups d
        join metrics m on m.key = d.metric and m.period = d.bucket
        where (_explain_rollups.subject is null or d.subject = _explain_rollups.subject)
          and (_explain_rollups.metric is null or d.metric = _explain_rollups.metric)
    ), added as (
        select bucket_start, sum(event_count)::bigint as event_count, max(last_at) as last_at, subject, metric, bucket, count(*) as parts,
               sum(total) as total, min(lowest) as lowest, max(highest) as highest,
               (max(array[extract(epoch from last_at), last_event_id, latest]) filter (where latest is not null)) as last
        from parts
        group by subject, metric, bucket, bucket_start
    ), members as (
        select e.subject, e.metric, e.bucket, e.bucket_start, count(*) as total
        from _explain_members(_explain_rollups.subject, _explain_rollups.metric) e
        join metrics m on m.key = e.metric and m.period = e.bucket
        group by 1, 2, 3, 4
    )
    select * from logged where bucket not in ('week', 'month', 'year', 'never')
    union all
    select bucket_start, a.event_count, a.last_at, a.last[2]::bigint, 0::smallint, subject, metric, bucket,
           case when m.aggregate = 'unique' and a.parts > 1 then u.total else a.total end, a.lowest, a.highest, a.last[3]
    from added a
    join metrics m on m.key = a.metric
    left join members u using (subject, metric, bucket, bucket_start);
end
$$;

comment on function _explain_rollups(text, text) is
    'The rollups of one subject and metric (null: all) as the log and the totals of dropped partitions say they should be.';
