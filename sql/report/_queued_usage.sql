-- OFFSET 0 makes a look-up by key the only plan, whatever the statistics say. What follows from the series is no part of the GROUP BY, because
-- sorting texts costs more than reading them; min() takes any of its equal values. The ids of events are not sorted: that would sort everything.
create or replace function _queued_usage(biller text, queued unreported[], dropped timestamptz[])
returns table (series_id integer, subject text, metric text, mode text, event_name text, event_after bigint, since timestamptz,
               aggregate text, period text, fine text, method text, bucket_start timestamptz, at timestamptz,
               event_ids bigint[], first_id bigint, last_id bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select u.series_id, min(u.subject), min(u.metric), min(u.mode), min(u.event_name), min(u.event_after), min(u.since),
               min(u.aggregate), min(u.period), min(u.fine_bucket), u.method,
               case u.method when 'dropped' then _dropped_start(u.fine_bucket, u.at, _queued_usage.dropped) else u.bucket_start end as start,
               case u.method when 'event' then u.at end as single_at,
               array_agg(u.event_id) filter (where u.method = 'event'), min(u.event_id), max(u.event_id)
        from (
            select u.series_id, u.at, u.event_id, s.subject, s.metric, r.mode, r.event_name, r.event_after, r.since, m.aggregate, m.period,
                   m.fine_bucket, _bucket_start(_reported_bucket(m.aggregate, r.mode, m.period), u.at) as bucket_start,
                   _planning_method(r.mode, m.aggregate, _bucket_start('month', u.at) = any (_queued_usage.dropped), u.event_id,
                                    r.event_after) as method
            from unnest(queued) u
            cross join lateral (
                select s.subject, s.metric from series s where s.series_id = u.series_id and s.stripe = 0 offset 0
            ) s
            join report_metrics r on r.biller = _queued_usage.biller and r.metric = s.metric and r.event_name is not null
            join metrics m on m.key = s.metric
            offset 0
        ) u
        group by u.series_id, start, single_at, u.method;
end
$$;

comment on function _queued_usage(text, unreported[], timestamptz[]) is
    'The buckets that rows of the queue name, each once, and how each is planned. Single events that have one time are together: event_ids, '
    'from first_id to last_id. Rows of metrics that are no longer reported are left out.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _planning_method(mode text, aggregate text, is_dropped boolean, event_id bigint, event_after bigint)
returns text
language sql
immutable parallel safe
as $$
    select case
        when mode = 'event' and is_dropped then 'dropped'
        when mode = 'event' and event_id > event_after then 'event'
        when mode = 'event' then 'earlier events'
        when mode = 'delta' and aggregate in ('sum', 'count') then 'delta'
        else 'value'
    end
$$;

comment on function _planning_method(text, text, boolean, bigint, bigint) is
    'How a row of the queue is planned: event (one push for the event), earlier events (a delta of the hour''s events from before mode '
    'event), dropped (from rollups, because the month''s events were dropped), delta (what the hour has gained) or value (from the '
    'period''s value).';
