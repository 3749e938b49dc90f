-- One snapshot reads everything. It is younger than that of the statement that removed the rows from the queue, so the buckets may hold
-- more than was queued, never less. The rows of that additional usage stay on the queue, and find nothing left to plan later.
-- A dropped month has no events, so what its rollups hold beyond what was planned is reported.
-- An event that was voided before it was pushed is not pushed, nor is its void. A value of which no event counts is sent only after another one.
-- Every table is read by key, once for each row: OFFSET 0 makes that the only plan, whatever the statistics say. A subject's customer is found
-- by the subject: biller || '' keeps the index of all customers of the biller out. An event's push is found by the event: without sorting, only
-- pushes_by_event has that order.
create or replace function _unplanned_usage(biller billers, queued unreported[], now timestamptz)
returns table (subject text, metric text, bucket_start timestamptz, event_id bigint, mode text, event_name text, customer text,
               period text, value numeric, at timestamptz)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_biller  text := (_unplanned_usage.biller).biller;
    v_dropped timestamptz[] := case
        when exists (select from report_metrics r where r.biller = v_biller and r.mode = 'event') then array(select _dropped_months())
        else '{}' end;
begin
    return query
        select t.subject, t.metric, t.bucket_start, v.event_id, t.mode, t.event_name,
               _customer((select s.customer from report_subjects s where s.subject = t.subject and s.biller || '' = v_biller),
                         t.subject, (_unplanned_usage.biller).subject_is_customer), t.period, v.value, v.at
        from _queued_usage(v_biller, queued, v_dropped) t
        left join lateral (
            select d.quantity, d.as_events from reported d
            where t.method <> 'event' and d.subject = t.subject and d.metric = t.metric and d.biller = v_biller and d.bucket_start = t.bucket_start
            offset 0
        ) d on true
        left join lateral (
            select _missing_rows(v_biller, t.series_id, t.subject, t.metric, t.at, t.event_after, t.event_ids) as event_ids
            from event_kinds k where t.method = 'event' and k.series_id = t.series_id and k.at = t.at and k.kind = 'void' limit 1
        ) w on true
        cross join lateral (
            -- Single events; all of one time are read at once, as the log has no index by event.
            select e.quantity as value, e.at, e.event_id
            from events e
            where t.method = 'event' and e.series_id = t.series_id and e.at = t.at
              and e.event_id between t.first_id and t.last_id and e.event_id = any (coalesce(w.event_ids, t.event_ids))
              and not exists (
                  select from pushes p
                  where p.subject = t.subject and p.metric = t.metric and p.biller = v_biller
                    and p.event_id between e.event_id and e.event_id and p.replaces is null order by p.event_id offset 0)
            union all
            -- What the hour has gained, or the period's value, which is not a sum of hours.
            select _unplanned_value(t.mode, q.quantity, b.event_count, d.quantity, d.as_events),
                   least(now, case t.method when 'delta' then b.last_at else t.bucket_end - interval '1 second' end), null
            from (
                select coalesce(_quantity(t.aggregate, sum(k.event_count)::bigint, sum(k.total), min(k.lowest), max(k.highest),
                                          (max(k.latest))[3]), 0) as quantity, sum(k.event_count) as event_count, max(k.last_at) as last_at
                from (
                    select r.event_count, r.last_at, r.total, r.lowest, r.highest, r.latest
                    from rollups r
                    where r.series_id = t.series_id and r.bucket = t.bucket and r.bucket_start >= t.bucket_start and r.bucket_start < t.bucket_end
                    union all
                    select s.coarse_count, s.coarse_last_at, s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest
                    from series s where t.is_coarse and s.series_id = t.series_id and s.coarse_last_at > '-infinity'
                      and s.coarse_start >= t.bucket_start and s.coarse_start < t.bucket_end
                    union all
                    select s.fine_count, s.fine_last_at, s.fine_total, s.fine_lowest, s.fine_highest, s.fine_latest
                    from series s where not t.is_coarse and s.series_id = t.series_id and s.fine_last_at > '-infinity'
                      and s.fine_start >= t.bucket_start and s.fine_start < t.bucket_end
                ) k
                where t.method in ('delta', 'value') having t.method in ('delta', 'value') offset 0
            ) b
            cross join lateral (select _reported_quantity(t.aggregate, t.mode, b.quantity, (_unplanned_usage.biller).max_digits) as quantity) q
            union all
            -- What the events from before mode event add up to in the hour, beyond what was reported of them.
            select coalesce(sum(e.quantity), 0) - coalesce(d.quantity, 0), least(max(e.at), now), null
            from (
                select e.quantity, e.at from events e
                where e.event_id <= t.event_after and e.series_id = t.series_id and e.at >= t.bucket_start and e.at < t.bucket_end offset 0
            ) e
            where t.method = 'earlier events' having t.method = 'earlier events'
            union all
            select l.value, least(l.at, now), null
            from _dropped_remainder(v_biller, t.series_id, t.subject, t.metric, t.bucket, t.bucket_start, v_dropped) l where t.method = 'dropped'
        ) v
        where (t.mode = 'last' or v.value <> 0) and v.value is not null and coalesce(t.at, t.bucket_start) >= coalesce(t.since, '-infinity');
end
$$;

comment on function _unplanned_usage(billers, unreported[], timestamptz) is
    'The usage of queued buckets and events that has not been planned yet. customer is null where the subject has none.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _unplanned_value(mode text, quantity numeric, event_count numeric, reported numeric, as_events numeric)
returns numeric
language sql
immutable parallel safe
as $$
    select case
        when mode <> 'last' then quantity - coalesce(reported + as_events, 0)
        when reported is not null or quantity <> 0 or event_count > 0 then nullif(quantity, reported)
    end
$$;

comment on function _unplanned_value(text, numeric, numeric, numeric, numeric) is
    'What is left to report of a bucket: what it has gained, or in mode last its value, if that is another one; null if no event counts in it and '
    'nothing was reported.';

-- Inlined: no SET, nothing outside pg_catalog. A quotient may have infinitely many digits, so an average is rounded as round() does.
create or replace function _reported_quantity(aggregate text, mode text, quantity numeric, max_digits integer)
returns numeric
language sql
immutable parallel safe
as $$
    select case
        when aggregate = 'avg' and quantity <> 0 then
            trim_scale(round(quantity, greatest(0, max_digits - 1 - floor(log(abs(quantity)))::integer)))
        when mode = 'last' or aggregate in ('sum', 'count') then quantity
        else greatest(quantity, 0)
    end
$$;

comment on function _reported_quantity(text, text, numeric, integer) is
    'The quantity of a bucket as it is reported: an avg is rounded to max_digits significant digits, half away from zero; a max or unique '
    'that is reported as deltas is at least 0, since the biller''s total cannot be negative.';
