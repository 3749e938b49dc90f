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
begin
    return query
    with lines as materialized (
        select c.subject, m, m.key, m.aggregate, m.fine_bucket, m.coarse_bucket, s.series_id, w.fine_since, w.fine_until, w.coarse_since,
               w.coarse_until
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
    left join lateral _uncounted_rows(l.series_id, l.fine_since, l.fine_until) k on exists (select from event_kinds)
    cross join lateral (
        values (l.fine_bucket, l.fine_since, l.fine_until, true), (l.coarse_bucket, l.coarse_since, l.coarse_until, false)
    ) w (bucket, since, until, is_fine)
    cross join lateral (
        select count(*) filter (where e.event_id <> all (coalesce(k.uncounted, '{}'))) as events, coalesce(sum(e.quantity), 0) as total,
               min(e.quantity) filter (where l.aggregate = 'min') as lowest, max(e.quantity) filter (where l.aggregate = 'max') as highest,
               max(array[extract(epoch from e.at), e.event_id, e.quantity]) filter (where l.aggregate = 'last') as latest,
               count(distinct case when l.aggregate = 'unique' then e.member end) as members
        from events e
        where e.series_id = l.series_id and e.at >= w.since and e.at < w.until and e.event_id <> all (coalesce(k.left_out, '{}'))
        offset 0
    ) g
    cross join lateral (
        select coalesce(sum(p.event_count), 0) as events, coalesce(sum(p.total), 0) as total, min(p.lowest) as lowest, max(p.highest) as highest,
               max(p.latest) as latest
        from (
            select r.event_count, r.total, r.lowest, r.highest, r.latest
            from rollups r
            where r.series_id = l.series_id and r.bucket = w.bucket and r.bucket_start >= w.since and r.bucket_start < w.until
            union all
            select o.event_count, o.total, o.lowest, o.highest, o.latest
            from series s
            cross join lateral (
                values (l.coarse_bucket, s.coarse_start, s.coarse_last_at, s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest,
                        s.coarse_latest),
                       (nullif(l.fine_bucket, l.coarse_bucket), s.fine_start, s.fine_last_at, s.fine_count, s.fine_total, s.fine_lowest,
                        s.fine_highest, s.fine_latest)
            ) o (bucket, start, last_at, event_count, total, lowest, highest, latest)
            where s.series_id = l.series_id and o.bucket = w.bucket and o.start >= w.since and o.start < w.until and o.last_at > '-infinity'
        ) p
        offset 0
    ) b
    where b.events <> g.events
       or l.aggregate in ('sum', 'count', 'avg') and b.total <> g.total
       or l.aggregate in ('min', 'max', 'last') and (b.lowest, b.highest, b.latest) is distinct from (g.lowest, g.highest, g.latest)
       or l.aggregate = 'unique'
          and (w.is_fine and (select u.quantity from _window_usage(l.m, l.subject, w.since, w.until) u) <> g.members
               or b.total <> _members_by_bucket(l.series_id, w.bucket, w.since, w.until, coalesce(k.left_out, '{}')));
end
$$;

comment on function _drifting_metrics(closing[]) is
    'The metrics of which the buckets of a period, added up, differ from the log; those that differ in both kinds of buckets twice.';

create or replace function _members_by_bucket(series_id integer, bucket text, since timestamptz, until timestamptz, left_out bigint[])
returns numeric
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return (
        select coalesce(sum(b.members), 0)
        from (
            select count(distinct e.member) as members
            from events e
            where e.series_id = _members_by_bucket.series_id and e.at >= _members_by_bucket.since and e.at < _members_by_bucket.until
              and e.event_id <> all (left_out)
            group by _bucket_start(_members_by_bucket.bucket, e.at)
        ) b);
end
$$;

comment on function _members_by_bucket(integer, text, timestamptz, timestamptz, bigint[]) is
    'The numbers of different members in each bucket of [since, until), added up, by the log without the rows left_out.';
