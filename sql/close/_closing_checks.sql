create or replace function _check_not_overlapping(closings closing[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_other record;
begin
    select c.subject, t.* into v_other
    from unnest(closings) c
    cross join lateral (
        select t.statement_id, t.since, t.until
        from sealed_subjects s
        join statements t on t.subject_id = s.subject_id and t.until > c.since and t.since < c.until
        where s.subject = c.subject
        offset 0
    ) t
    limit 1;
    if found then
        raise exception using errcode = '22023', message = 'a part of the period is closed already', column = 'since',
            detail = format('subject %s: statement %s holds %s to %s.', quote_literal(left(v_other.subject, 80)), v_other.statement_id,
                to_char(v_other.since at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                to_char(v_other.until at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            hint = 'Statements do not overlap: begin at the end of that one, or end at its start. statements() lists them.';
    end if;
end
$$;

comment on function _check_not_overlapping(closing[]) is 'Raises 22023 if a statement holds a part of one of the periods.';

create or replace function _check_no_open_hold(closings closing[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_hold reservations;
    v_now  timestamptz := clock_timestamp();
begin
    if not exists (select from reservations r where r.state = 'held' and r.expires_at > v_now) then
        return;
    end if;
    select r.* into v_hold
    from unnest(closings) c
    cross join metrics m
    cross join lateral (
        select r.* from reservations r
        where r.metric = m.key and r.subject = c.subject and r.state = 'held' and r.expires_at > v_now and r.at >= c.since and r.at < c.until
        limit 1
    ) r
    limit 1;
    if v_hold.reservation_id is not null then
        raise exception using errcode = '55000', message = 'a reservation of the period is open',
            detail = format('subject %s, metric %s, reservation %s.', quote_literal(left(v_hold.subject, 80)), quote_literal(v_hold.metric),
                v_hold.reservation_id),
            hint = 'Settle or release it, or wait until it has expired.';
    end if;
end
$$;

comment on function _check_no_open_hold(closing[]) is 'Raises 55000 if a reservation of one of the periods still holds.';

-- The log is compared with the short buckets that lie within the period, and with the long ones. Months that were dropped cannot be compared.
create or replace function _check_no_drift(closings closing[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_drift record;
begin
    select * into v_drift from _drifting_metrics(closings) limit 1;
    if found then
        raise exception using errcode = '55000', message = 'buckets of the period do not equal the log',
            detail = format('subject %s, metric %s.', quote_literal(left(v_drift.subject, 80)), quote_literal(v_drift.metric)),
            hint = format('Look at SELECT * FROM %I.verify(%L), and correct them with rebuild().', current_schema(), left(v_drift.subject, 80));
    end if;
end
$$;

comment on function _check_no_drift(closing[]) is 'Raises 55000 if buckets of one of the periods differ from the log.';

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
        select * from _bucket_sums(l.series_id, l.fine_bucket, l.coarse_bucket, l.fine_since, l.fine_until) offset 0
    ) f
    cross join lateral (
        select * from _bucket_sums(l.series_id, l.coarse_bucket, l.coarse_bucket, l.coarse_since, l.coarse_until) offset 0
    ) c
    where f.events <> g.events or c.events <> g.coarse_events
       or l.aggregate in ('sum', 'count', 'avg') and (f.total <> coalesce(g.total, 0) or c.total <> coalesce(g.coarse_total, 0))
       or l.aggregate = 'min' and f.lowest is distinct from g.lowest
       or l.aggregate = 'max' and f.highest is distinct from g.highest;
end
$$;

comment on function _drifting_metrics(closing[]) is
    'The metrics of which the buckets of a period, added up, differ from the log. Of last and unique, only the number of events is compared.';

-- Inlined into the statement that asks: nothing but a query.
create or replace function _bucket_sums(series_id integer, bucket text, coarse_bucket text, since timestamptz, until timestamptz)
returns table (events bigint, total numeric, lowest numeric, highest numeric)
language sql
stable
as $$
    select coalesce(sum(p.event_count), 0)::bigint, coalesce(sum(p.total), 0), min(p.lowest), max(p.highest)
    from (
        select r.event_count, r.total, r.lowest, r.highest
        from rollups r
        where r.series_id = _bucket_sums.series_id and r.bucket = _bucket_sums.bucket and r.bucket_start >= _bucket_sums.since
          and r.bucket_start < _bucket_sums.until
        union all
        select case when o.is_coarse then s.coarse_count else s.fine_count end, case when o.is_coarse then s.coarse_total else s.fine_total end,
               case when o.is_coarse then s.coarse_lowest else s.fine_lowest end, case when o.is_coarse then s.coarse_highest else s.fine_highest end
        from series s
        cross join lateral (select _bucket_sums.bucket = _bucket_sums.coarse_bucket as is_coarse) o
        where s.series_id = _bucket_sums.series_id
          and case when o.is_coarse then s.coarse_start else s.fine_start end >= _bucket_sums.since
          and case when o.is_coarse then s.coarse_start else s.fine_start end < _bucket_sums.until
          and case when o.is_coarse then s.coarse_last_at else s.fine_last_at end > '-infinity'
    ) p
$$;

comment on function _bucket_sums(integer, text, text, timestamptz, timestamptz) is
    'The buckets of a series and kind that start in [since, until), put together; open ones included.';
