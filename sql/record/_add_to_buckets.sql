-- Adds many amounts at once, by the rules of _count_event(): each to an open bucket, in the row of its series, or to a rollup. The latest
-- fine bucket that has begun is open afterwards; what was open before and is no longer goes to rollups; what rollups has of a bucket that
-- becomes open goes to the row. So all these are put together by bucket, and then each sum has one place to go to.
-- The caller has locked the rows of series, with _lock_rows(); rollups are written only under these locks. Rows are found by primary key, whatever the
-- statistics say: no sequential scans, and OFFSET 0 makes a look-up for each row the only plan.
create or replace function _add_to_buckets(amounts rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    with added as materialized (
        select * from unnest(amounts)
    ), spans as (
        select series_id, stripe, bucket, max(bucket_start) as newest_start, max(bucket_start) filter (where bucket_start <= now()) as newest_begun,
               max(last_at) filter (where bucket_start > now()) as last_ahead
        from added
        group by series_id, stripe, bucket
    ), targets as materialized (
        select t.*, _bucket_start(t.coarse_bucket, t.opened) as coarse_opened
        from (
            select s.*, n.newest_start as newest_added, n.last_ahead,
                   coalesce(greatest(case when s.coarse_count > 0 then s.fine_start end, n.newest_begun), s.fine_start) as opened
            from spans n
            cross join lateral (
                select s.*, m as definition, m.fine_bucket, m.coarse_bucket,
                       case when m.aggregate in ('sum', 'count', 'avg', 'unique') then 0 end as empty
                from series s
                join metrics m on m.key = s.metric
                where s.series_id = n.series_id and s.stripe = n.stripe and m.fine_bucket = n.bucket
                offset 0
            ) s
        ) t
    ), taken as (
        delete from rollups r
        using targets t
        where r.series_id = t.series_id and r.stripe = t.stripe
          and (r.bucket = t.fine_bucket and r.bucket_start = t.opened or r.bucket = t.coarse_bucket and r.bucket_start = t.coarse_opened)
          and (t.ahead_at is not null or t.coarse_count = 0)
        returning r.*
    ), summed as materialized (
        select series_id, stripe, bucket, bucket_start, sum(event_count)::bigint as event_count, max(last_at) as last_at,
               sum(total) as total, min(lowest) as lowest, max(highest) as highest, max(latest) as latest
        from (
            select series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest from added
            union all
            select series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest from taken
            union all
            select series_id, stripe, coarse_bucket, coarse_start, coarse_count, coarse_last_at, coarse_total, coarse_lowest, coarse_highest,
                   coarse_latest
            from targets
            where coarse_count > 0
            union all
            select series_id, stripe, fine_bucket, fine_start, fine_count, fine_last_at, fine_total, fine_lowest, fine_highest, fine_latest
            from targets
            where fine_count > 0 and fine_bucket <> coarse_bucket
        ) p
        group by series_id, stripe, bucket, bucket_start
    ), closed as (
        insert into rollups as r (series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest)
        select s.*
        from summed s
        join targets t on t.series_id = s.series_id and t.stripe = s.stripe
        where s.event_count > 0
          and not (s.bucket = t.fine_bucket and s.bucket_start = t.opened or s.bucket = t.coarse_bucket and s.bucket_start = t.coarse_opened)
        order by s.series_id, s.bucket, s.bucket_start, s.stripe
        on conflict (series_id, bucket, bucket_start, stripe) do update set
            event_count = r.event_count + excluded.event_count,
            last_at = greatest(r.last_at, excluded.last_at),
            total = r.total + excluded.total,
            lowest = least(r.lowest, excluded.lowest),
            highest = greatest(r.highest, excluded.highest),
            latest = greatest(r.latest, excluded.latest)
    )
    update series s set
        version = s.version + 1, newest_start = greatest(s.newest_start, t.newest_added),
        ahead_at = case when greatest(t.ahead_at, t.last_ahead) >= _bucket_end(t.fine_bucket, t.opened) then greatest(t.ahead_at, t.last_ahead) end,
        fine_start = t.opened, fine_end = _bucket_end(t.fine_bucket, t.opened),
        fine_count = coalesce(f.event_count, 0), fine_last_at = coalesce(f.last_at, t.opened), fine_total = coalesce(f.total, t.empty),
        fine_lowest = f.lowest, fine_highest = f.highest, fine_latest = f.latest,
        coarse_start = t.coarse_opened, coarse_end = _bucket_end(t.coarse_bucket, t.coarse_opened),
        coarse_count = coalesce(c.event_count, 0), coarse_last_at = coalesce(c.last_at, t.opened), coarse_total = coalesce(c.total, t.empty),
        coarse_lowest = c.lowest, coarse_highest = c.highest, coarse_latest = c.latest,
        revision = (t.definition).revision, unit = (t.definition).unit, billers = (t.definition).billers,
        is_ordinary = _is_ordinary(t.definition, s.stripe, s.has_stripes)
    from targets t
    left join summed f on f.series_id = t.series_id and f.stripe = t.stripe and f.bucket = t.fine_bucket and f.bucket_start = t.opened
    left join summed c on c.series_id = t.series_id and c.stripe = t.stripe and c.bucket = t.coarse_bucket and c.bucket_start = t.coarse_opened
    where s.series_id = t.series_id and s.stripe = t.stripe;
end
$$;

comment on function _add_to_buckets(rollups[]) is
    'Adds amounts, each with its series, stripe and bucket, to the open buckets and rollups. For each event there is an amount of the fine and, if '
    'the metric has two kinds of bucket, one of the coarse kind.';

create or replace function _lock_rows(amounts rollups[])
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_rows bigint;
begin
    perform from series s
    where (s.series_id, s.stripe) in (select a.series_id, a.stripe from unnest(amounts) a)
    order by s.series_id, s.stripe
    for update;
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

comment on function _lock_rows(rollups[]) is
    'Locks the rows of series that amounts belong to, in the order of the whole package; returns how many there are.';
