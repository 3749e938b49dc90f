-- Recording counts nothing for this, so events are added up here: from the open buckets in series, and the closed ones in rollups, of the longer
-- of a metric's two buckets. Of each metric, 5,000 rows of series and 20,000 of rollups are read at most, and of all together 1,000,000 and
-- 200,000: each has an equal share. Beyond that there is no number: one of some of the events would be wrong. The latest event is sought among
-- the same rows of series and the latest 5,000 of all metrics.
create or replace function _metric_activity(now timestamptz)
returns table (metric text, event_count bigint, last_at timestamptz)
language sql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
    with newest as materialized (
        select s.metric, max(greatest(s.fine_last_at, s.coarse_last_at)) as last_at
        from (
            select metric, fine_last_at, coarse_last_at from series
            where newest_start <= _metric_activity.now and ((select _all_here()) or _is_here(subject))
            order by newest_start desc limit 5000
        ) s
        group by s.metric
    ), share as materialized (
        select least(5000, 1000000 / greatest(count(*), 1)) as series, least(20000, 200000 / greatest(count(*), 1)) as rollups
        from metrics where retired_at is null
    )
    select m.key,
           case when o.rows <= h.series and c.rows <= h.rollups then o.event_count + c.event_count end,
           nullif(greatest(o.last_at, (select n.last_at from newest n where n.metric = m.key)), '-infinity')
    from share h
    cross join metrics m
    cross join lateral (
        select count(*) as rows, coalesce(sum(s.coarse_count), 0)::bigint as event_count,
               max(greatest(s.fine_last_at, s.coarse_last_at)) as last_at
        from (select * from series where metric = m.key and ((select _all_here()) or _is_here(subject))
              order by subject, stripe limit h.series + 1) s
        offset 0
    ) o
    cross join lateral (
        select count(*) as rows, coalesce(sum(r.event_count), 0)::bigint as event_count
        from (
            select r.event_count
            from (select series_id, stripe from series where metric = m.key and ((select _all_here()) or _is_here(subject))
              order by subject, stripe limit h.series + 1) s
            join lateral (
                select event_count from rollups
                where series_id = s.series_id and bucket = m.coarse_bucket and stripe = s.stripe
                offset 0
            ) r on true
            where o.rows <= h.series
            limit h.rollups + 1
        ) r
        offset 0
    ) c
    where m.retired_at is null
$$;

comment on function _metric_activity(timestamptz) is
    'How many events each metric in use has that count, null if there are too many buckets to add up; and the time of its latest event, '
    'null without one. Of a metric with more than 5,000 subjects the latest event may be later than this; less with more than 200 metrics.';
