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
        select c.subject, m, m.key, m.aggregate, m.fine_bucket, m.coarse_bucket, s.series_id, w.fine_since, w.fine_until, w.coarse_since, w.coarse_until
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
        select * from _log_sums(l.series_id, l.aggregate, l.fine_since, l.fine_until, coalesce(k.left_out, '{}'), coalesce(k.uncounted, '{}')) offset 0
    ) g
    cross join lateral (
        select * from _log_sums(l.series_id, l.aggregate, l.coarse_since, l.coarse_until, coalesce(k.left_out, '{}'), coalesce(k.uncounted, '{}'))
        offset 0
    ) h
    cross join lateral (
        select * from _bucket_sums(l.series_id, l.fine_bucket, l.coarse_bucket, l.fine_since, l.fine_until) offset 0
    ) f
    cross join lateral (
        select * from _bucket_sums(l.series_id, l.coarse_bucket, l.coarse_bucket, l.coarse_since, l.coarse_until) offset 0
    ) c
    where (f.events, c.events) is distinct from (g.events, h.events)
       or l.aggregate in ('sum', 'count', 'avg') and (f.total, c.total) is distinct from (g.total, h.total)
       or l.aggregate in ('min', 'max', 'last')
          and (f.lowest, f.highest, f.latest, c.lowest, c.highest, c.latest) is distinct from (
              case l.aggregate when 'min' then g.lowest end, case l.aggregate when 'max' then g.highest end, g.latest,
              case l.aggregate when 'min' then h.lowest end, case l.aggregate when 'max' then h.highest end, h.latest)
       or l.aggregate = 'unique'
          and ((select u.quantity from _window_usage(l.m, l.subject, l.fine_since, l.fine_until) u) <> g.members
               or f.total <> _members_by_bucket(l.series_id, l.fine_bucket, l.fine_since, l.fine_until, coalesce(k.left_out, '{}'))
               or c.total <> _members_by_bucket(l.series_id, l.coarse_bucket, l.coarse_since, l.coarse_until, coalesce(k.left_out, '{}')));
end
$$;

comment on function _drifting_metrics(closing[]) is
    'The metrics of which the buckets of a period, added up, differ from the log.';

-- These are inlined into the statement that asks: nothing but a query.
create or replace function _log_sums(
    series_id integer, aggregate text, since timestamptz, until timestamptz, left_out bigint[], uncounted bigint[]
)
returns table (events bigint, total numeric, lowest numeric, highest numeric, latest numeric[], members bigint)
language sql
stable
as $$
    select count(*) filter (where e.event_id <> all (_log_sums.uncounted)), coalesce(sum(e.quantity), 0), min(e.quantity), max(e.quantity),
           max(array[extract(epoch from e.at), e.event_id, e.quantity]) filter (where _log_sums.aggregate = 'last'),
           count(distinct case when _log_sums.aggregate = 'unique' then e.member end)
    from events e
    where e.series_id = _log_sums.series_id and e.at >= _log_sums.since and e.at < _log_sums.until and e.event_id <> all (_log_sums.left_out)
$$;

comment on function _log_sums(integer, text, timestamptz, timestamptz, bigint[], bigint[]) is
    'What the log has of a series in [since, until), without the rows left_out; uncounted ones are no events.';

create or replace function _bucket_sums(series_id integer, bucket text, coarse_bucket text, since timestamptz, until timestamptz)
returns table (events bigint, total numeric, lowest numeric, highest numeric, latest numeric[])
language sql
stable
as $$
    select coalesce(sum(p.event_count), 0)::bigint, coalesce(sum(p.total), 0), min(p.lowest), max(p.highest), max(p.latest)
    from (
        select r.event_count, r.total, r.lowest, r.highest, r.latest
        from rollups r
        where r.series_id = _bucket_sums.series_id and r.bucket = _bucket_sums.bucket and r.bucket_start >= _bucket_sums.since
          and r.bucket_start < _bucket_sums.until
        union all
        select case when o.is_coarse then s.coarse_count else s.fine_count end, case when o.is_coarse then s.coarse_total else s.fine_total end,
               case when o.is_coarse then s.coarse_lowest else s.fine_lowest end, case when o.is_coarse then s.coarse_highest else s.fine_highest end,
               case when o.is_coarse then s.coarse_latest else s.fine_latest end
        from series s
        cross join lateral (select _bucket_sums.bucket = _bucket_sums.coarse_bucket as is_coarse) o
        where s.series_id = _bucket_sums.series_id
          and case when o.is_coarse then s.coarse_start >= _bucket_sums.since and s.coarse_start < _bucket_sums.until and s.coarse_last_at > '-infinity'
                   else s.fine_start >= _bucket_sums.since and s.fine_start < _bucket_sums.until and s.fine_last_at > '-infinity' end
    ) p
$$;

comment on function _bucket_sums(integer, text, text, timestamptz, timestamptz) is
    'The buckets of a series and kind that start in [since, until), put together; open ones included.';

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
