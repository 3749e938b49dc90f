-- Short buckets are compared where they lie within the period, and so are long ones, which most statements are written from.
create or replace function _drifting_metrics(closings closing[])
returns table (subject text, metric text)
language plpgsql
volatile
set search_path from current
as $$
begin
    return query select * from _drifting_buckets(closings, true) union all select * from _drifting_buckets(closings, false);
end
$$;

comment on function _drifting_metrics(closing[]) is 'The metrics of which the buckets of a period, added up, differ from the log.';

create or replace function _drifting_buckets(closings closing[], are_fine boolean)
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
        select c.subject, m, m.key, m.aggregate, case when are_fine then m.fine_bucket else m.coarse_bucket end as bucket, s.series_id,
               case when are_fine then w.fine_since else w.coarse_since end as since,
               case when are_fine then w.fine_until else w.coarse_until end as until
        from unnest(closings) c
        cross join metrics m
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = c.subject and s.stripe = 0 offset 0
        ) s
        cross join lateral _cut_window(m, c.since, c.until) w
        where w.fine_since < w.fine_until and not _overlaps_months(v_dropped, w.fine_since, w.fine_until)
          and (m.fine_bucket <> m.coarse_bucket or not are_fine)
    )
    select l.subject, l.key
    from lines l
    left join lateral _uncounted_rows(l.series_id, l.since, l.until) k on exists (select from event_kinds)
    cross join lateral (
        select count(*) filter (where e.event_id <> all (coalesce(k.uncounted, '{}'))) as events, coalesce(sum(e.quantity), 0) as total,
               min(e.quantity) as lowest, max(e.quantity) as highest,
               max(_latest(e.at, e.event_id, e.quantity)) filter (where l.aggregate = 'last') as latest
        from events e
        where e.series_id = l.series_id and e.at >= l.since and e.at < l.until and (k.left_out is null or e.event_id <> all (k.left_out))
        offset 0
    ) g
    cross join lateral (
        select coalesce(sum(p.event_count), 0) as events, coalesce(sum(p.total), 0) as total, min(p.lowest) as lowest, max(p.highest) as highest,
               max(p.latest) as latest
        from (
            select r.event_count, r.total, r.lowest, r.highest, r.latest
            from rollups r
            where r.series_id = l.series_id and r.bucket = l.bucket and r.bucket_start >= l.since and r.bucket_start < l.until
            union all
            select s.fine_count, s.fine_total, s.fine_lowest, s.fine_highest, s.fine_latest
            from series s
            where are_fine and s.series_id = l.series_id and s.fine_start >= l.since and s.fine_start < l.until and s.fine_last_at > '-infinity'
            union all
            select s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest
            from series s
            where not are_fine and s.series_id = l.series_id and s.coarse_start >= l.since and s.coarse_start < l.until
              and s.coarse_last_at > '-infinity'
        ) p
        offset 0
    ) b
    where b.events <> g.events
       or case l.aggregate
           when 'min' then b.lowest is distinct from g.lowest
           when 'max' then b.highest is distinct from g.highest
           when 'last' then b.latest is distinct from g.latest
           when 'unique' then b.total <> _members_by_bucket(l.series_id, l.bucket, l.since, l.until, coalesce(k.left_out, '{}'))
                or (select u.quantity from _window_usage(l.m, l.subject, l.since, l.until) u)
                   <> _members_by_bucket(l.series_id, null, l.since, l.until, coalesce(k.left_out, '{}'))
           else b.total <> g.total end;
end
$$;

comment on function _drifting_buckets(closing[], boolean) is
    'As _drifting_metrics(), by the short buckets (are_fine) or the long ones; short ones that are long ones are left out.';

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
            group by case when _members_by_bucket.bucket is not null then _bucket_start(_members_by_bucket.bucket, e.at) end
        ) b);
end
$$;

comment on function _members_by_bucket(integer, text, timestamptz, timestamptz, bigint[]) is
    'The numbers of different members in each bucket of [since, until), added up, by the log without the rows left_out. bucket null: in all of it.';
