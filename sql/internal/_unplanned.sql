-- All of it is read in one snapshot, which is younger than that of the statement that took the rows off the queue: the buckets may
-- hold more than was on the queue, never less. What was counted too early leaves its row on the queue, and then makes no difference.
create or replace function _unplanned(biller billers, queued unreported[], now timestamptz)
returns table (subject text, metric text, bucket_start timestamptz, event_id bigint, mode text, event_name text, customer text,
               period text, value numeric, at timestamptz)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        with touched as (
            select distinct u.subject, u.metric, r.mode, r.event_name, r.event_after, r.since, m.aggregate, m.period,
                   _fine_bucket(m.period, m.rollup) as fine,
                   _bucket_start(_reported_bucket(m.aggregate, r.mode, m.period), u.at) as bucket_start,
                   case when r.mode = 'event' and u.event_id > r.event_after then u.event_id end as event_id,
                   case when r.mode = 'event' and u.event_id > r.event_after then u.at end as at
            from unnest(queued) u
            join report_metrics r on r.biller = (_unplanned.biller).biller and r.metric = u.metric and r.event_name is not null
            join metrics m on m.key = u.metric
        )
        select t.subject, t.metric, t.bucket_start, t.event_id, t.mode, t.event_name,
               coalesce(s.customer, case when (_unplanned.biller).subject_is_customer then t.subject end), t.period, v.value, v.at
        from touched t
        left join report_subjects s on s.subject = t.subject and s.biller = (_unplanned.biller).biller
        left join reported d
            on d.subject = t.subject and d.metric = t.metric and d.biller = (_unplanned.biller).biller and d.bucket_start = t.bucket_start
        cross join lateral (
            -- One event.
            select e.quantity as value, e.at
            from events e
            where t.event_id is not null
              and e.subject = t.subject and e.metric = t.metric and e.at = t.at and e.event_id = t.event_id
              and not exists (
                  select from pushes p
                  where p.subject = t.subject and p.metric = t.metric and p.biller = (_unplanned.biller).biller
                    and p.event_id = t.event_id and p.replaces is null)
            union all
            -- What an hour has gained.
            select coalesce(sum(r.total), 0) - coalesce(d.quantity + d.as_events, 0), least(max(r.last_at), now)
            from rollups r
            where t.event_id is null and t.mode = 'delta' and t.aggregate in ('sum', 'count')
              and r.subject = t.subject and r.metric = t.metric and r.bucket = t.fine
              and r.bucket_start >= t.bucket_start and r.bucket_start < _bucket_end('hour', t.bucket_start)
            having t.event_id is null and t.mode = 'delta' and t.aggregate in ('sum', 'count')
            union all
            -- What an hour has of events from before single events were reported, beyond what was reported of them.
            select coalesce(sum(e.quantity), 0) - coalesce(d.quantity, 0), least(max(e.at), now)
            from events e
            where t.event_id is null and t.mode = 'event' and e.event_id <= t.event_after
              and e.subject = t.subject and e.metric = t.metric
              and e.at >= t.bucket_start and e.at < _bucket_end('hour', t.bucket_start)
            having t.event_id is null and t.mode = 'event'
               and not _overlaps_months(array(select _dropped_months()), t.bucket_start, _bucket_end('hour', t.bucket_start))
            union all
            -- A value that is not a sum of parts. A maximum below zero counts as none: no total can be below zero.
            select case when t.mode = 'last' then nullif(u.quantity, d.quantity)
                        else greatest(u.quantity, 0) - coalesce(d.quantity, 0) end,
                   least(now, _bucket_end(t.period, t.bucket_start) - interval '1 second')
            from metrics m
            cross join lateral _usage(m, t.subject, t.bucket_start, _bucket_end(t.period, t.bucket_start)) u
            where m.key = t.metric and (t.mode = 'last' or t.aggregate not in ('sum', 'count'))
        ) v
        where (t.mode = 'last' or v.value <> 0) and v.value is not null and coalesce(t.at, t.bucket_start) >= coalesce(t.since, '-infinity');
end
$$;

comment on function _unplanned(billers, unreported[], timestamptz) is
    'What the buckets and events on the queue hold beyond what has been planned of them; the customer is null where the subject has none.';
