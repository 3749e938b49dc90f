-- Reads events once, into hours; days are computed from hours, and longer buckets from days. Only series with minutes, with an order of
-- events (aggregate last) or with corrections are read apart. Sums are those of all rows, voids included; of the rest, voids and what they take
-- back are left out. Everything is grouped by series_id: integers are cheap to hash. Hash joins only, because without
-- statistics a nested loop would read all hours once for each series.
create or replace function _recompute_rollups(scope integer[])
returns setof rollups
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_mergejoin to off
set enable_nestloop to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_apart    integer[] := array(
        select s.series_id
        from series s
        join metrics m on m.key = s.metric
        where s.stripe = 0 and (m.aggregate = 'last' or m.fine_bucket = 'minute' or s.series_id in (select series_id from event_kinds))
          and (_recompute_rollups.scope is null or s.series_id = any (_recompute_rollups.scope)));
    v_extremes boolean := exists (select from metrics where aggregate in ('min', 'max'));
    v_origin   constant timestamptz := '1970-01-01 00:00:00+00';
begin
    return query
    with kinds as materialized (
        select s.series_id, m.fine_bucket as fine, m.coarse_bucket as coarse, m.aggregate in ('sum', 'count', 'avg') as adds,
               m.aggregate = 'min' as has_lowest, m.aggregate = 'max' as has_highest, m.aggregate = 'unique' as has_members,
               m.aggregate = 'last' as has_order, case m.fine_bucket when 'minute' then interval '1 minute' else interval '1 hour' end as step
        from series s
        join metrics m on m.key = s.metric
        where s.stripe = 0 and (_recompute_rollups.scope is null or s.series_id = any (_recompute_rollups.scope))
    ), hours as materialized (
        select series_id, date_bin(interval '1 hour', at, v_origin) as start, count(*) as event_count, max(at) as last_at,
               sum(quantity) as total, min(case when v_extremes then quantity end) as lowest,
               max(case when v_extremes then quantity end) as highest, null::numeric[] as latest
        from events
        where (_recompute_rollups.scope is null or series_id = any (_recompute_rollups.scope))
          and (v_apart = '{}' or series_id <> all (v_apart))
        group by 1, 2
        union all
        select e.series_id, date_bin(k.step, e.at, v_origin), sum(coalesce(c.counts, 1))::bigint, max(e.at), sum(e.quantity),
               min(e.quantity) filter (where o.event_id is null), max(e.quantity) filter (where o.event_id is null),
               max(array[extract(epoch from e.at), e.event_id, e.quantity]) filter (where k.has_order and o.event_id is null)
        from events e
        join kinds k using (series_id)
        left join event_kinds c on c.event_id = e.event_id
        left join (select distinct event_id from _left_out_rows()) o on o.event_id = e.event_id
        where v_apart <> '{}' and e.series_id = any (v_apart)
        group by 1, 2
    ), days as materialized (
        select series_id, date_bin(interval '1 day', start, v_origin) as start, sum(event_count)::bigint as event_count,
               max(last_at) as last_at, sum(total) as total, min(lowest) as lowest, max(highest) as highest, max(latest) as latest
        from hours
        group by 1, 2
    ), every as (
        select k.fine as bucket, h.* from hours h join kinds k using (series_id) where k.fine in ('minute', 'hour')
        union all
        select 'hour', h.series_id, date_bin(interval '1 hour', h.start, v_origin), sum(h.event_count)::bigint, max(h.last_at),
               sum(h.total), min(h.lowest), max(h.highest), max(h.latest)
        from hours h
        join kinds k using (series_id)
        where k.coarse = 'hour' and k.fine = 'minute'
        group by 2, 3
        union all
        select b.bucket, d.series_id, _bucket_start(b.bucket, d.start), sum(d.event_count)::bigint, max(d.last_at),
               sum(d.total), min(d.lowest), max(d.highest), max(d.latest)
        from days d
        join (
            select series_id, fine as bucket from kinds union select series_id, coarse from kinds
        ) b using (series_id)
        where b.bucket not in ('minute', 'hour')
        group by 1, 2, 3
    )
    select e.start, e.event_count, e.last_at, e.series_id, 0::smallint, e.bucket,
           case when k.adds then e.total when k.has_members then coalesce(m.total, 0) end, case when k.has_lowest then e.lowest end,
           case when k.has_highest then e.highest end, e.latest
    from every e
    join kinds k using (series_id)
    left join _logged_member_counts(_recompute_rollups.scope) m
        on m.series_id = e.series_id and m.bucket = e.bucket and m.bucket_start = e.start;
    perform _check_snapshot();
end
$$;

comment on function _recompute_rollups(integer[]) is 'The rollups of the given series (null: all), computed from the log.';
