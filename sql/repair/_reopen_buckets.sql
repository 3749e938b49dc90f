-- The caller has locked the rows of the series, which have no stripes. Of the open buckets, those that are not corrected go to rollups first.
-- Rows are found by index, whatever the statistics say: see _merge_stripes().
create or replace function _reopen_buckets(series_ids integer[], corrections rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
begin
    -- NOT IN compares by hashing.
    insert into rollups (bucket_start, event_count, last_at, series_id, bucket, total, lowest, highest, latest)
    select b.bucket_start, b.event_count, b.last_at, b.series_id, b.bucket, b.total, b.lowest, b.highest, b.latest
    from _open_halves(series_ids) b
    where (b.series_id, b.bucket, b.bucket_start) not in (select c.series_id, c.bucket, c.bucket_start from unnest(corrections) c)
    order by b.series_id, b.bucket
    on conflict do nothing;
    update series s set
        fine_count = 0, coarse_count = 0, fine_last_at = '-infinity', coarse_last_at = '-infinity',
        fine_start = n.opened, fine_end = _bucket_end(n.fine_bucket, n.opened),
        newest_start = coalesce(n.newest_start, n.opened), ahead_at = n.ahead_at
    from _latest_buckets(series_ids) n
    where s.series_id = any (array[n.series_id]) and s.stripe = n.stripe;
    -- Amounts of nothing: the buckets that they belong to are opened, with what rollups has of them.
    perform _add_to_buckets(array(select a from _empty_amounts(series_ids) a));
end
$$;

comment on function _reopen_buckets(integer[], rollups[]) is
    'Opens the latest bucket of each series that has begun and has events, as rollups and open buckets say, and corrections where there are any.';

create or replace function _latest_buckets(series_ids integer[])
returns table (series_id integer, stripe smallint, fine_bucket text, opened timestamptz, newest_start timestamptz, ahead_at timestamptz)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select i.series_id, 0::smallint, o.fine_bucket, o.opened, a.newest_start, a.ahead_at
    from unnest(series_ids) i (series_id)
    cross join lateral (
        select m.fine_bucket, b.bucket_start, coalesce(b.bucket_start, _bucket_start(m.fine_bucket, least(s.fine_start, now()))) as opened
        from series s
        join metrics m on m.key = s.metric
        left join lateral (
            select r.bucket_start
            from rollups r
            where r.series_id = s.series_id and r.bucket = m.fine_bucket and r.bucket_start <= now()
            order by r.bucket_start desc
            limit 1
        ) b on true
        where s.series_id = i.series_id and s.stripe = 0
        offset 0
    ) o
    cross join lateral (
        select max(r.bucket_start) as newest_start, max(r.last_at) filter (where r.bucket_start > now()) as ahead_at
        from rollups r
        where r.series_id = i.series_id and r.bucket = o.fine_bucket and r.bucket_start >= coalesce(o.bucket_start, '-infinity')
        offset 0
    ) a;
end
$$;

comment on function _latest_buckets(integer[]) is
    'For each series the latest fine bucket in rollups that has begun, to be opened, and what lies ahead of it. Without one, opened is the bucket '
    'of the open one''s start.';
