-- The rows of series keep their revision, which is no longer the metric's: so recording does not add to them in its short way, but opens new
-- buckets first, with what rollups has of them. Nobody else has read the catalog: define_metric() holds the strongest lock on it.
create or replace function _close_series(old metrics, new metrics)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into rollups (series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest)
    select s.series_id, s.stripe, (_close_series.old).coarse_bucket, s.coarse_start, s.coarse_count, s.coarse_last_at, s.coarse_total,
           s.coarse_lowest, s.coarse_highest, s.coarse_latest
    from series s
    where s.metric = (_close_series.old).key and s.coarse_count > 0
    union all
    select s.series_id, s.stripe, (_close_series.old).fine_bucket, s.fine_start, s.fine_count, s.fine_last_at, s.fine_total,
           s.fine_lowest, s.fine_highest, s.fine_latest
    from series s
    where s.metric = (_close_series.old).key and s.fine_count > 0 and (_close_series.old).fine_bucket <> (_close_series.old).coarse_bucket
    order by 1, 3, 4, 2;

    update series s set
        version = s.version + 1, newest_start = _bucket_start((_close_series.new).fine_bucket, s.newest_start),
        fine_start = n.fine_start, fine_end = _bucket_end((_close_series.new).fine_bucket, n.fine_start),
        fine_count = 0, fine_last_at = n.fine_start, fine_total = n.empty, fine_lowest = null, fine_highest = null, fine_latest = null,
        coarse_start = n.coarse_start, coarse_end = _bucket_end((_close_series.new).coarse_bucket, n.coarse_start),
        coarse_count = 0, coarse_last_at = n.fine_start, coarse_total = n.empty, coarse_lowest = null, coarse_highest = null,
        coarse_latest = null
    from (
        select o.series_id, o.stripe, f.fine_start, _bucket_start((_close_series.new).coarse_bucket, f.fine_start) as coarse_start,
               case when o.coarse_total is not null then 0 end as empty
        from series o
        cross join lateral (
            select _bucket_start((_close_series.new).fine_bucket, least(o.fine_last_at, now())) as fine_start
        ) f
        where o.metric = (_close_series.old).key
    ) n
    where s.series_id = n.series_id and s.stripe = n.stripe;
end
$$;

comment on function _close_series(metrics, metrics) is
    'Moves the open buckets of all series of a metric to rollups, as a change of its rollup changes the kinds of its buckets. Afterwards the '
    'rows of series have no events. rebuild() then writes the buckets of the new kinds and deletes those of the old.';
