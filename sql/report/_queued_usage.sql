-- A series and its metric are looked up once for each series, however often the queue names it. There is one possible plan, whatever the
-- statistics say: OFFSET 0 leaves a look-up by key no other way, and the rest is joined by hashing. What follows from the series is no part
-- of the GROUP BY, because sorting texts costs more than reading them; min() takes any of its equal values.
create or replace function _queued_usage(biller text, queued unreported[], dropped timestamptz[])
returns table (series_id integer, subject text, metric text, mode text, event_name text, event_after bigint, since timestamptz,
               aggregate text, period text, bucket text, is_coarse boolean, method text, bucket_start timestamptz, bucket_end timestamptz,
               at timestamptz, event_ids bigint[], first_id bigint, last_id bigint)
language plpgsql
stable
set search_path from current
set enable_nestloop to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
        select u.series_id, min(u.subject), min(u.metric), min(u.mode), min(u.event_name), min(u.event_after), min(u.since), min(u.aggregate),
               min(u.period), min(u.bucket), bool_and(u.bucket = u.coarse_bucket), u.method,
               case u.method when 'dropped' then _dropped_start(u.bucket, u.at, _queued_usage.dropped) else u.reported_start end as start,
               min(_bucket_end(u.reported_bucket, u.reported_start)), case u.method when 'event' then u.at end as single_at,
               array_agg(u.event_id) filter (where u.method = 'event'), min(u.event_id), max(u.event_id)
        from (
            select u.at, u.event_id, k.*, _bucket_start(k.reported_bucket, u.at) as reported_start, n.method,
                   case n.method when 'value' then k.period else k.fine_bucket end as bucket
            from unnest(queued) u
            join (
                select s.series_id, s.subject, s.metric, r.mode, r.event_name, r.event_after, r.since, m.aggregate, m.period, m.fine_bucket,
                       m.coarse_bucket, _reported_bucket(m.aggregate, r.mode, m.period) as reported_bucket
                from (select distinct series_id from unnest(queued)) q
                cross join lateral (
                    select s.series_id, s.subject, s.metric from series s where s.series_id = q.series_id and s.stripe = 0 offset 0
                ) s
                join report_metrics r on r.biller = _queued_usage.biller and r.metric = s.metric and r.event_name is not null
                join metrics m on m.key = s.metric
                offset 0
            ) k on k.series_id = u.series_id
            cross join lateral (
                select _planning_method(k.mode, k.aggregate, _bucket_start('month', u.at) = any (_queued_usage.dropped), u.event_id,
                                        k.event_after) as method
            ) n
            offset 0
        ) u
        group by u.series_id, start, single_at, u.method;
end
$$;

comment on function _queued_usage(text, unreported[], timestamptz[]) is
    'What rows of the queue name, each once, and how it is planned: from bucket_start to bucket_end, out of stored buckets of the kind bucket '
    '(is_coarse: the metric''s longer one), or single events. Those that have one time are together: event_ids, from first_id to last_id. '
    'Rows of metrics that are no longer reported are left out.';

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
