create or replace function _drifting_metrics(closings closing[])
returns table (subject text, metric text)
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_dropped timestamptz[] := array(select _dropped_months());
    v_kinds   boolean := exists (select from event_kinds);
begin
    return query
    with lines as materialized (
        select c.subject, m.key, m.aggregate, m.fine_bucket, m.coarse_bucket, s.series_id, w.fine_since, w.fine_until, w.coarse_since, w.coarse_until
        from unnest(closings) c
        cross join metrics m
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = c.subject and s.stripe = 0 offset 0
        ) s
        cross join lateral _cut_window(m, c.since, c.until) w
        where w.fine_since < w.fine_until and not _overlaps_months(v_dropped, w.fine_since, w.fine_until)
    )
    select l.subject, l.key
    from lines l
    left join lateral _uncounted_rows(l.series_id, l.fine_since, l.fine_until) k on v_kinds
    cross join lateral (
        select count(*) filter (where e.event_id <> all (coalesce(k.uncounted, '{}'))) as events, sum(e.quantity) as total,
               min(e.quantity) as lowest, max(e.quantity) as highest, max(e.at) as last_at,
               count(*) filter (
                   where e.at >= l.coarse_since and e.at < l.coarse_until and e.event_id <> all (coalesce(k.uncounted, '{}'))) as coarse_events,
               sum(e.quantity) filter (where e.at >= l.coarse_since and e.at < l.coarse_until) as coarse_total
        from events e
        where e.series_id = l.series_id and e.at >= l.fine_since and e.at < l.fine_until
          and (k.left_out is null or e.event_id <> all (k.left_out))
        offset 0
    ) g
    cross join lateral (
        values (l.fine_bucket, l.fine_since, l.fine_until, g.events, coalesce(g.total, 0), g.lowest, g.highest, true),
               (l.coarse_bucket, l.coarse_since, l.coarse_until, g.coarse_events, coalesce(g.coarse_total, 0), null, null, false)
    ) w (bucket, since, until, events, total, lowest, highest, is_fine)
    cross join lateral (
        select coalesce(sum(p.event_count), 0) as events, coalesce(sum(p.total), 0) as total, min(p.lowest) as lowest, max(p.highest) as highest
        from (
            select r.event_count, r.total, r.lowest, r.highest
            from rollups r
            where r.series_id = l.series_id and r.bucket = w.bucket and r.bucket_start >= w.since and r.bucket_start < w.until
            union all
            select o.event_count, o.total, o.lowest, o.highest
            from series s
            cross join lateral (
                values (l.coarse_bucket, s.coarse_start, s.coarse_last_at, s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest),
                       (nullif(l.fine_bucket, l.coarse_bucket), s.fine_start, s.fine_last_at, s.fine_count, s.fine_total, s.fine_lowest,
                        s.fine_highest)
            ) o (bucket, start, last_at, event_count, total, lowest, highest)
            where s.series_id = l.series_id and o.bucket = w.bucket and o.start >= w.since and o.start < w.until and o.last_at > '-infinity'
        ) p
        offset 0
    ) b
    where b.events <> w.events or l.aggregate in ('sum', 'count', 'avg') and b.total <> w.total
       or w.is_fine and (l.aggregate = 'min' and b.lowest is distinct from w.lowest or l.aggregate = 'max' and b.highest is distinct from w.highest);
end
$$;

comment on function _drifting_metrics(closing[]) is
    'The metrics of which the buckets of a period, added up, differ from the log. Of last and unique, only the number of events is compared.';
