-- Short buckets are compared where they lie within the period, and so are long ones, which most statements are written from. Where both cover the
-- same time, the log is read once for both. Months that were dropped cannot be compared. Both functions are stable: with one snapshot for the log and
-- the buckets, what is recorded meanwhile is in neither of them.
create or replace function _compared_metrics(closings closing[])
returns table (subject text, metric text, has_drifted boolean, recorded_at timestamptz)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select g.subject, (g.metric).key,
           b.events <> g.events or b.total <> g.total or b.lowest is distinct from g.lowest or b.highest is distinct from g.highest
               or b.latest is distinct from g.latest
               or (g.metric).aggregate = 'unique'
                  and _have_members_drifted(g.metric, g.subject, g.series_id, v.bucket, g.since, g.until, b.total, g.left_out),
           g.recorded_at
    from _logged_sums(closings) g
    cross join lateral (
        values ((g.metric).fine_bucket, g.fine_since, g.fine_until),
               (nullif((g.metric).coarse_bucket, (g.metric).fine_bucket), g.coarse_since, g.coarse_until)
    ) v (bucket, since, until)
    cross join lateral (
        select coalesce(sum(p.event_count), 0) as events, coalesce(sum(p.total), 0) as total, min(p.lowest) as lowest, max(p.highest) as highest,
               max(p.latest) as latest
        from (
            select r.event_count, r.total, r.lowest, r.highest, r.latest
            from rollups r
            where r.series_id = g.series_id and r.bucket = v.bucket and r.bucket_start >= v.since and r.bucket_start < v.until
            union all
            select s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest
            from series s
            where s.series_id = g.series_id and v.bucket = (g.metric).coarse_bucket
              and s.coarse_start >= v.since and s.coarse_start < v.until and s.coarse_last_at > '-infinity'
            union all
            select s.fine_count, s.fine_total, s.fine_lowest, s.fine_highest, s.fine_latest
            from series s
            where s.series_id = g.series_id and v.bucket <> (g.metric).coarse_bucket
              and s.fine_start >= v.since and s.fine_start < v.until and s.fine_last_at > '-infinity'
        ) p
        offset 0
    ) b
    where (v.since, v.until) = (g.since, g.until) and v.bucket is not null;
end
$$;

comment on function _compared_metrics(closing[]) is
    'Of each metric and kind of buckets, whether the buckets of a period, added up, differ from the log; and when the last of its rows was recorded.';

create or replace function _logged_sums(closings closing[])
returns table (
    subject text, metric metrics, series_id integer, fine_since timestamptz, fine_until timestamptz, coarse_since timestamptz,
    coarse_until timestamptz, since timestamptz, until timestamptz, left_out bigint[], events bigint, total numeric, lowest numeric,
    highest numeric, latest numeric[], recorded_at timestamptz)
language plpgsql
stable
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
        select c.subject, m, m.aggregate, m.aggregate in ('min', 'max', 'last') as is_extreme, s.series_id,
               w.fine_since, w.fine_until, w.coarse_since, w.coarse_until
        from unnest(closings) c
        cross join metrics m
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = c.subject and s.stripe = 0 offset 0
        ) s
        cross join lateral _cut_window(m, c.since, c.until) w
        where w.fine_since < w.fine_until and not _overlaps_months(v_dropped, w.fine_since, w.fine_until)
    )
    select l.subject, l.m, l.series_id, l.fine_since, l.fine_until, l.coarse_since, l.coarse_until, w.since, w.until, k.left_out, g.*
    from lines l
    cross join lateral (
        select distinct v.since, v.until
        from (values (l.fine_since, l.fine_until), (l.coarse_since, l.coarse_until)) v (since, until)
        where v.since < v.until
    ) w
    left join lateral (select u.* from _uncounted_rows(l.series_id, w.since, w.until) u where v_kinds offset 0) k on true
    cross join lateral (
        -- What an aggregate does not need is not computed: this reads all there is of the period.
        select count(*) filter (where k.uncounted is null or e.event_id <> all (k.uncounted)) as events,
               case when l.aggregate <> 'unique' then coalesce(sum(e.quantity), 0) end as total, null::numeric as lowest,
               null::numeric as highest, null::numeric[] as latest, max(e.recorded_at) as recorded_at
        from events e
        where not l.is_extreme and e.series_id = l.series_id and e.at >= w.since and e.at < w.until
          and (k.left_out is null or e.event_id <> all (k.left_out))
        having not l.is_extreme
        union all
        select count(*), null, min(e.quantity) filter (where l.aggregate = 'min'), max(e.quantity) filter (where l.aggregate = 'max'),
               max(_latest(e.at, e.event_id, e.quantity)) filter (where l.aggregate = 'last'), max(e.recorded_at)
        from events e
        where l.is_extreme and e.series_id = l.series_id and e.at >= w.since and e.at < w.until
          and (k.left_out is null or e.event_id <> all (k.left_out))
        having l.is_extreme
        offset 0
    ) g;
end
$$;

comment on function _logged_sums(closing[]) is
    'What the log has of each metric in the part of a period that short buckets cover, and if that is another one, in the part that long buckets '
    'cover; left_out: rows that do not count.';

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
    v_bucket text := _have_members_drifted.bucket;
    v_step   interval := case v_bucket when 'minute' then interval '1 minute' when 'hour' then interval '1 hour' when 'day' then interval '1 day' end;
    v_whole  boolean := _bucket_end(v_bucket, _have_members_drifted.since) = _have_members_drifted.until;
    v_logged record;
begin
    select count(*) as by_bucket, count(distinct n.member) as in_all into v_logged
    from (
        select distinct e.member, case when v_whole then since when v_step is not null then date_bin(v_step, e.at, '1970-01-01 00:00:00+00')
                                       else _bucket_start(v_bucket, e.at) end
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
