create or replace function _queue_events(mapping report_metrics, subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := _metric((_queue_events.mapping).metric);
    v_fine    text := _fine_bucket(v_metric.period, v_metric.rollup);
    v_dropped timestamptz[] := array(select _dropped_months());
begin
    insert into unreported (at, event_id, subject, metric, biller)
    select e.at, e.event_id, e.subject, e.metric, (_queue_events.mapping).biller
    from events e
    where e.metric = v_metric.key and (_queue_events.subject is null or e.subject = _queue_events.subject)
      and e.at >= coalesce((_queue_events.mapping).since, '-infinity')
      and not exists (
          select from pushes p
          where p.subject = e.subject and p.metric = e.metric and p.biller = (_queue_events.mapping).biller and p.event_id = e.event_id
            and p.replaces is null);
    insert into unreported (at, subject, metric, biller)
    select distinct _dropped_start(v_fine, r.bucket_start, v_dropped), r.subject, r.metric, (_queue_events.mapping).biller
    from rollups r
    where v_dropped <> '{}' and r.metric = v_metric.key and r.bucket = v_fine
      and (_queue_events.subject is null or r.subject = _queue_events.subject)
      and _bucket_end(v_fine, r.bucket_start) > coalesce((_queue_events.mapping).since, '-infinity')
      and _overlaps_months(v_dropped, r.bucket_start, _bucket_end(v_fine, r.bucket_start));
end
$$;

comment on function _queue_events(report_metrics, text) is
    'Queues the events of a metric that is reported event by event, of all subjects or one, that have not been reported, and the rollups '
    'of months that were dropped.';
