-- May queue too much, never too little: planning a bucket without unplanned usage does nothing.
create or replace function _queue_unreported(biller text, metric text, subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_mapping report_metrics;
begin
    for v_mapping in
        select * from report_metrics m
        where m.biller = _queue_unreported.biller and m.event_name is not null
          and (_queue_unreported.metric is null or m.metric = _queue_unreported.metric)
    loop
        if v_mapping.mode = 'event' then
            perform _queue_events(v_mapping, _queue_unreported.subject);
        else
            perform _queue_buckets(v_mapping, _queue_unreported.subject);
        end if;
    end loop;
end
$$;

comment on function _queue_unreported(text, text, text) is
    'Queues usage that exists already and was not reported to a biller: all of it, or that of one metric or one subject.';

-- Buckets are skipped only where parts add up: there, equal totals prove that nothing is left to plan.
create or replace function _queue_buckets(mapping report_metrics, subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _get_metric((_queue_buckets.mapping).metric);
    v_adds   boolean := (_queue_buckets.mapping).mode = 'delta' and v_metric.aggregate in ('sum', 'count');
    v_bucket text := _reported_bucket(v_metric.aggregate, (_queue_buckets.mapping).mode, v_metric.period);
    v_since  timestamptz := coalesce((_queue_buckets.mapping).since, '-infinity');
begin
    insert into unreported (at, series_id, biller)
    select h.bucket_start, h.series_id, (_queue_buckets.mapping).biller
    from (
        select b.series_id, b.subject, _bucket_start(v_bucket, b.bucket_start) as bucket_start, sum(b.total) as total
        from buckets b
        where b.metric = v_metric.key and (_queue_buckets.subject is null or b.subject = _queue_buckets.subject)
          and b.bucket = case when v_adds then v_metric.fine_bucket else v_bucket end
        group by 1, 2, 3
    ) h
    left join reported d
        on d.subject = h.subject and d.metric = v_metric.key and d.biller = (_queue_buckets.mapping).biller
        and d.bucket_start = h.bucket_start
    where h.bucket_start >= v_since and ((select _all_here()) or not _is_sealed_copy(h.subject))
      and (not v_adds or h.total is distinct from d.quantity + d.as_events);
end
$$;

comment on function _queue_buckets(report_metrics, text) is
    'Queues the buckets of a metric that is reported as deltas or values, of all subjects or one, that may have unreported usage.';

create or replace function _queue_events(mapping report_metrics, subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := _get_metric((_queue_events.mapping).metric);
    v_fine    text := v_metric.fine_bucket;
    v_dropped timestamptz[] := array(select _dropped_months());
begin
    insert into unreported (at, event_id, series_id, biller)
    select e.at, e.event_id, e.series_id, (_queue_events.mapping).biller
    from series s
    join events e on e.series_id = s.series_id
    where s.metric = v_metric.key and s.stripe = 0 and (_queue_events.subject is null or s.subject = _queue_events.subject)
      and ((select _all_here()) or not _is_sealed_copy(s.subject))
      and e.at >= coalesce((_queue_events.mapping).since, '-infinity')
      and not exists (
          select from pushes p
          where p.subject = s.subject and p.metric = s.metric and p.biller = (_queue_events.mapping).biller and p.event_id = e.event_id
            and p.replaces is null);
    insert into unreported (at, series_id, biller)
    select distinct _dropped_start(v_fine, b.bucket_start, v_dropped), b.series_id, (_queue_events.mapping).biller
    from buckets b
    where v_dropped <> '{}' and b.metric = v_metric.key and b.bucket = v_fine
      and (_queue_events.subject is null or b.subject = _queue_events.subject)
      and _bucket_end(v_fine, b.bucket_start) > coalesce((_queue_events.mapping).since, '-infinity')
      and _overlaps_months(v_dropped, b.bucket_start, _bucket_end(v_fine, b.bucket_start));
end
$$;

comment on function _queue_events(report_metrics, text) is
    'Queues the unreported events of a metric that is reported event by event, of all subjects or one, and the buckets of dropped months.';

-- The series of reported metrics are found first, each once: where nothing is reported, no series is looked up.
create or replace function _queue_corrected(corrected rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_nestloop to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    if not exists (select from metrics where billers is not null) then
        return;
    end if;
    insert into unreported (at, series_id, biller)
    select c.bucket_start, c.series_id, unnest(m.billers)
    from unnest(corrected) c
    join (
        select s.series_id, m.period, m.fine_bucket, m.billers
        from (select distinct series_id from unnest(corrected)) q
        cross join lateral (
            select s.series_id, s.metric from series s where s.series_id = q.series_id and s.stripe = 0 offset 0
        ) s
        join metrics m on m.key = s.metric
        where m.billers is not null
        offset 0
    ) m on m.series_id = c.series_id and c.bucket in (m.period, m.fine_bucket);
end
$$;

comment on function _queue_corrected(rollups[]) is
    'Queues the buckets that rebuild() corrects, since too little or too much of them may have been reported.';
