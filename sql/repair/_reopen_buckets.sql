-- The caller has locked the rows of the series, which have no stripes. Of the open buckets, those that are not corrected go to rollups first.
create or replace function _reopen_buckets(series_ids integer[], corrections rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
begin
    insert into rollups (bucket_start, event_count, last_at, series_id, bucket, total, lowest, highest, latest)
    select b.bucket_start, b.event_count, b.last_at, b.series_id, b.bucket, b.total, b.lowest, b.highest, b.latest
    from _open_halves(series_ids) b
    where not exists (
        select from unnest(corrections) c
        where c.series_id = b.series_id and c.bucket = b.bucket and c.bucket_start = b.bucket_start)
    order by b.series_id, b.bucket
    on conflict do nothing;
    update series s set
        fine_count = 0, coarse_count = 0, fine_start = n.opened, fine_end = _bucket_end(n.fine_bucket, n.opened),
        newest_start = coalesce(n.newest_start, n.opened), ahead_at = n.ahead_at
    from (
        select s.series_id, m.fine_bucket, a.newest_start, a.ahead_at,
               coalesce(b.bucket_start, _bucket_start(m.fine_bucket, least(s.fine_start, now()))) as opened
        from series s
        join metrics m on m.key = s.metric
        left join lateral (
            select r.bucket_start
            from rollups r
            where r.series_id = s.series_id and r.bucket = m.fine_bucket and r.bucket_start <= now()
            order by r.bucket_start desc
            limit 1
        ) b on true
        cross join lateral (
            select max(r.bucket_start) as newest_start, max(r.last_at) filter (where r.bucket_start > now()) as ahead_at
            from rollups r
            where r.series_id = s.series_id and r.bucket = m.fine_bucket and r.bucket_start >= coalesce(b.bucket_start, '-infinity')
            offset 0
        ) a
        where s.series_id = any (series_ids) and s.stripe = 0
    ) n
    where s.series_id = n.series_id and s.stripe = 0;
    -- Amounts of nothing: the buckets that they belong to are opened, with what rollups has of them.
    perform _add_to_buckets(array(
        select (s.fine_start, 0, s.fine_start, s.series_id, 0, m.fine_bucket, null, null, null, null)::rollups
        from series s
        join metrics m on m.key = s.metric
        where s.series_id = any (series_ids) and s.stripe = 0));
end
$$;

comment on function _reopen_buckets(integer[], rollups[]) is
    'Opens the latest bucket of each series that has begun and has events, as rollups and open buckets say, and corrections where there are any.';
