-- Short buckets are compared where they lie within the period, and so are long ones, which most statements are written from. Where both cover the
-- same time, the log is read once for both. Months that were dropped cannot be compared.
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
        select c.subject, m, m.key, m.aggregate, m.fine_bucket, m.coarse_bucket, s.series_id,
               w.fine_since, w.fine_until, w.coarse_since, w.coarse_until
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
    cross join lateral (
        select distinct v.since, v.until
        from (values (l.fine_since, l.fine_until), (l.coarse_since, l.coarse_until)) v (since, until)
        where v.since < v.until
    ) w
    left join lateral _uncounted_rows(l.series_id, w.since, w.until) k on exists (select from event_kinds)
    cross join lateral (
        select count(*) filter (where k.uncounted is null or e.event_id <> all (k.uncounted)) as events,
               case when l.aggregate in ('sum', 'count', 'avg') then coalesce(sum(e.quantity), 0) end as total,
               min(e.quantity) filter (where l.aggregate = 'min') as lowest, max(e.quantity) filter (where l.aggregate = 'max') as highest,
               max(_latest(e.at, e.event_id, e.quantity)) filter (where l.aggregate = 'last') as latest
        from events e
        where e.series_id = l.series_id and e.at >= w.since and e.at < w.until and (k.left_out is null or e.event_id <> all (k.left_out))
        offset 0
    ) g
    cross join lateral (values (true, l.fine_bucket, l.fine_since, l.fine_until), (false, l.coarse_bucket, l.coarse_since, l.coarse_until))
        v (is_fine, bucket, since, until)
    cross join lateral (
        select coalesce(sum(p.event_count), 0) as events, coalesce(sum(p.total), 0) as total, min(p.lowest) as lowest, max(p.highest) as highest,
               max(p.latest) as latest
        from (
            select r.event_count, r.total, r.lowest, r.highest, r.latest
            from rollups r
            where r.series_id = l.series_id and r.bucket = v.bucket and r.bucket_start >= v.since and r.bucket_start < v.until
            union all
            select o.event_count, o.total, o.lowest, o.highest, o.latest
            from series s
            cross join lateral (
                select s.fine_start, s.fine_last_at, s.fine_count, s.fine_total, s.fine_lowest, s.fine_highest, s.fine_latest where v.is_fine
                union all
                select s.coarse_start, s.coarse_last_at, s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest
                where not v.is_fine
            ) o (start, last_at, event_count, total, lowest, highest, latest)
            where s.series_id = l.series_id and o.start >= v.since and o.start < v.until and o.last_at > '-infinity'
        ) p
        offset 0
    ) b
    where (v.since, v.until) = (w.since, w.until) and (l.fine_bucket <> l.coarse_bucket or not v.is_fine)
      and (b.events <> g.events or b.total <> g.total or b.lowest is distinct from g.lowest or b.highest is distinct from g.highest
           or b.latest is distinct from g.latest
           or l.aggregate = 'unique' and _have_members_drifted(l.m, l.subject, l.series_id, v.bucket, v.since, v.until, b.total, k.left_out));
end
$$;

comment on function _drifting_metrics(closing[]) is 'The metrics of which the buckets of a period, added up, differ from the log.';

create or replace function _have_members_drifted(
    metric metrics, subject text, series_id integer, bucket text, since timestamptz, until timestamptz, total numeric, left_out bigint[]
)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_logged record;
begin
    select count(*) as by_bucket, count(distinct n.member) as in_all into v_logged
    from (
        select distinct e.member, _bucket_start(_have_members_drifted.bucket, e.at)
        from events e
        where e.series_id = _have_members_drifted.series_id and e.at >= _have_members_drifted.since and e.at < _have_members_drifted.until
          and (left_out is null or e.event_id <> all (left_out))
    ) n;
    return total <> v_logged.by_bucket
        or (_window_usage(_have_members_drifted.metric, _have_members_drifted.subject, _have_members_drifted.since,
                          _have_members_drifted.until)).quantity <> v_logged.in_all;
end
$$;

comment on function _have_members_drifted(metrics, text, integer, text, timestamptz, timestamptz, numeric, bigint[]) is
    'Whether the log of a unique metric has other numbers of members in [since, until) than the buckets: in each of them, added up (total), or in '
    'all.';
