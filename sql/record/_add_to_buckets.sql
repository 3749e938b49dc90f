-- Adds many amounts at once, by the rules of _count_event(): each to an open bucket, in the row of its series, or to a rollup. The caller has
-- locked the rows of series with _lock_rows(); rollups are written only under these locks. Rows are found by primary key, whatever the
-- statistics say: only nested loops are left, no two large sets are joined, and a bitmap scan needs a condition.
create or replace function _add_to_buckets(amounts rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_indexscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    with summed as materialized (
        select * from _sums_by_bucket(amounts)
    ), closed as (
        insert into rollups as r (series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest)
        select series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest
        from summed
        where last_at > '-infinity' and not (is_fine or is_coarse)
        order by series_id, bucket, bucket_start, stripe
        on conflict (series_id, bucket, bucket_start, stripe) do update set
            event_count = r.event_count + excluded.event_count, last_at = greatest(r.last_at, excluded.last_at),
            total = r.total + excluded.total,
            lowest = least(r.lowest, excluded.lowest),
            highest = greatest(r.highest, excluded.highest), latest = greatest(r.latest, excluded.latest)
    ), opened as materialized (
        select series_id, stripe, max(bucket_start) as newest_start,
               max(last_at) filter (where bucket_start > now() and not (is_fine or is_coarse)) as last_ahead,
               max(bucket) filter (where is_fine) as fine_bucket, max(bucket_start) filter (where is_fine) as fine_start,
               max(event_count) filter (where is_fine) as fine_count, max(last_at) filter (where is_fine) as fine_last_at,
               max(total) filter (where is_fine) as fine_total, max(lowest) filter (where is_fine) as fine_lowest,
               max(highest) filter (where is_fine) as fine_highest, max(latest) filter (where is_fine) as fine_latest,
               max(bucket) filter (where is_coarse) as coarse_bucket, max(bucket_start) filter (where is_coarse) as coarse_start,
               max(event_count) filter (where is_coarse) as coarse_count, max(last_at) filter (where is_coarse) as coarse_last_at,
               max(total) filter (where is_coarse) as coarse_total, max(lowest) filter (where is_coarse) as coarse_lowest,
               max(highest) filter (where is_coarse) as coarse_highest, max(latest) filter (where is_coarse) as coarse_latest
        from summed
        group by series_id, stripe
    )
    update series s set
        version = s.version + 1, newest_start = greatest(s.newest_start, o.newest_start),
        ahead_at = case when greatest(s.ahead_at, o.last_ahead) >= _bucket_end(o.fine_bucket, o.fine_start)
                        then greatest(s.ahead_at, o.last_ahead) end,
        fine_start = o.fine_start, fine_end = _bucket_end(o.fine_bucket, o.fine_start), fine_count = o.fine_count,
        fine_last_at = o.fine_last_at, fine_total = o.fine_total, fine_lowest = o.fine_lowest, fine_highest = o.fine_highest,
        fine_latest = o.fine_latest,
        coarse_start = o.coarse_start, coarse_end = _bucket_end(o.coarse_bucket, o.coarse_start), coarse_count = o.coarse_count,
        coarse_last_at = o.coarse_last_at, coarse_total = o.coarse_total, coarse_lowest = o.coarse_lowest,
        coarse_highest = o.coarse_highest, coarse_latest = o.coarse_latest,
        -- Who writes buckets has not looked at limits: a row stays marked for that, see _limited_subjects.sql.
        revision = case when m.limited and s.stripe = 0 then s.revision else m.revision end, unit = m.unit, billers = m.billers,
        is_ordinary = _is_ordinary(m, s.stripe, s.has_stripes),
        unchecked_below = case when m.limited then '-infinity'::numeric else 'infinity' end, unchecked_until = 'infinity',
        exhausted_at = null, limited_by = null
    from opened o
    cross join lateral (select t.metric from series t where t.series_id = o.series_id and t.stripe = o.stripe offset 0) t
    join metrics m on m.key = t.metric
    where s.series_id = o.series_id and s.stripe = o.stripe;
end
$$;

comment on function _add_to_buckets(rollups[]) is
    'Adds amounts, each with its series, stripe and bucket, to the open buckets and rollups. For each event there is an amount of the fine and, if '
    'the metric has two kinds of bucket, one of the coarse kind.';

-- The latest fine bucket that has begun is open afterwards. What was open before and is no longer is to go to rollups; what rollups has of a
-- bucket that becomes open is taken from there. So all these are put together by bucket, and each sum has one place to go to.
create or replace function _sums_by_bucket(amounts rollups[])
returns table (series_id integer, stripe smallint, bucket text, bucket_start timestamptz, event_count bigint, last_at timestamptz,
               total numeric, lowest numeric, highest numeric, latest numeric[], is_fine boolean, is_coarse boolean)
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    with placed as materialized (
        select p.*, _bucket_start(p.coarse_bucket, p.opened) as coarse_opened
        from (
            select a.*, s.*, row_number() over of_row = 1 as is_first,
                   coalesce(greatest(
                       case when s.coarse_last_at > '-infinity' then s.fine_start end,
                       max(a.bucket_start) filter (where a.bucket = s.fine_bucket and a.bucket_start <= now()) over of_row), s.fine_start) as opened
            from unnest(amounts) a
            cross join lateral (
                select s.fine_start, s.coarse_last_at, s.ahead_at, m.fine_bucket, m.coarse_bucket,
                       case when m.aggregate in ('sum', 'count', 'avg', 'unique') then 0 end as empty
                from series s
                join metrics m on m.key = s.metric
                where s.series_id = a.series_id and s.stripe = a.stripe
                offset 0
            ) s
            window of_row as (partition by a.series_id, a.stripe)
        ) p
    ), becoming as materialized (
        select t.series_id, t.stripe, b.bucket, b.bucket_start, t.empty, t.ahead_at is not null or t.coarse_last_at = '-infinity' as may_be_there,
               t.fine_bucket, t.coarse_bucket, t.opened, t.coarse_opened
        from placed t
        cross join lateral (values (t.fine_bucket, t.opened), (nullif(t.coarse_bucket, t.fine_bucket), t.coarse_opened)) b (bucket, bucket_start)
        where t.is_first and b.bucket is not null
    ), taken as (
        delete from rollups r
        using becoming b
        where b.may_be_there and r.series_id = b.series_id and r.stripe = b.stripe and r.bucket = b.bucket and r.bucket_start = b.bucket_start
        returning r.*, b.fine_bucket, b.coarse_bucket, b.opened, b.coarse_opened
    ), parts as (
        select series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest,
               fine_bucket, coarse_bucket, opened, coarse_opened
        from placed
        union all
        select series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest,
               fine_bucket, coarse_bucket, opened, coarse_opened
        from taken
        union all
        select series_id, stripe, bucket, bucket_start, 0, '-infinity', empty, null, null, null,
               fine_bucket, coarse_bucket, opened, coarse_opened
        from becoming
        union all
        select h.series_id, h.stripe, h.bucket, h.bucket_start, h.event_count, h.last_at, h.total, h.lowest, h.highest, h.latest,
               t.fine_bucket, t.coarse_bucket, t.opened, t.coarse_opened
        from placed t
        cross join lateral (
            select h.*
            from series s
            cross join lateral (
                select h.* from _coarse_half(s, t.coarse_bucket) h where s.coarse_last_at > '-infinity'
                union all
                select h.* from _fine_half(s, t.fine_bucket) h where s.fine_last_at > '-infinity' and t.fine_bucket <> t.coarse_bucket
            ) h
            where s.series_id = t.series_id and s.stripe = t.stripe
            offset 0
        ) h
        where t.is_first
    )
    select p.series_id, p.stripe, p.bucket, p.bucket_start, sum(p.event_count)::bigint, max(p.last_at), sum(p.total), min(p.lowest),
           max(p.highest), max(p.latest), p.bucket = p.fine_bucket and p.bucket_start = p.opened,
           p.bucket = p.coarse_bucket and p.bucket_start = p.coarse_opened
    from parts p
    group by p.series_id, p.stripe, p.bucket, p.bucket_start, p.fine_bucket, p.coarse_bucket, p.opened, p.coarse_opened;
end
$$;

comment on function _sums_by_bucket(rollups[]) is
    'Amounts and what is to be put together with them, by bucket. is_fine, is_coarse: the bucket is to be open in the row of the series; every '
    'row has one of each.';
