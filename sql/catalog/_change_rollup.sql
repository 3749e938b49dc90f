-- A change of the rollup changes the kinds of buckets that the rows of series hold open. define_metric() blocks recording until its transaction
-- ends. Before the change, all open buckets go to rollups; after it, the rows of series get buckets of the new kinds, without events. Then
-- rebuild() makes rollups what the new definition asks for, and opens the latest bucket of every series. What drifts, such as a bucket that is
-- open and in rollups as well, it corrects on the way.
create or replace function _close_series(metric text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_series integer[] := array(select s.series_id from series s where s.metric = _close_series.metric and s.stripe = 0);
begin
    perform _keep_homes();
    if exists (select from moves m where m.state in ('closing', 'arriving')) then
        perform _raise_busy('a subject is being moved, see moves()');  -- its buckets are being copied
    end if;
    perform _merge_stripes(v_series, null);
    -- A drifting meter may have the bucket there as well; rebuild() corrects it.
    insert into rollups select * from _open_halves(v_series) on conflict do nothing;
end
$$;

comment on function _close_series(text) is
    'Moves the open buckets of all series of a metric to rollups, before its rollup changes. _reset_series() has to follow.';

create or replace function _reset_series(metric metrics)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    m metrics := _reset_series.metric;
begin
    update series s set
        version = s.version + 1, newest_start = _bucket_start(m.fine_bucket, greatest(s.fine_start, s.fine_last_at, s.ahead_at)),
        fine_start = n.fine_start, fine_end = _bucket_end(m.fine_bucket, n.fine_start),
        fine_count = 0, fine_last_at = '-infinity', fine_total = n.total, fine_lowest = null, fine_highest = null, fine_latest = null,
        coarse_start = n.coarse_start, coarse_end = _bucket_end(m.coarse_bucket, n.coarse_start),
        coarse_count = 0, coarse_last_at = '-infinity', coarse_total = n.total, coarse_lowest = null, coarse_highest = null, coarse_latest = null
    from (
        select o.series_id, o.stripe, f.fine_start, _bucket_start(m.coarse_bucket, f.fine_start) as coarse_start,
               case when o.coarse_total is not null then 0 end as total
        from series o
        cross join lateral (select _bucket_start(m.fine_bucket, least(greatest(o.fine_start, o.fine_last_at), now())) as fine_start) f
        where o.metric = m.key
    ) n
    where s.series_id = n.series_id and s.stripe = n.stripe;
end
$$;

comment on function _reset_series(metrics) is
    'Gives all series of a metric whose rollup has changed open buckets of the new kinds, without events. rebuild() has to follow.';
