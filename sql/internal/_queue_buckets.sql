-- Only of hours that are added up can a look at two totals tell that there is nothing to plan.
create or replace function _queue_buckets(mapping report_metrics, subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _metric((_queue_buckets.mapping).metric);
    v_adds   boolean := (_queue_buckets.mapping).mode = 'delta' and v_metric.aggregate in ('sum', 'count');
    v_bucket text := _reported_bucket(v_metric.aggregate, (_queue_buckets.mapping).mode, v_metric.period);
    v_since  timestamptz := coalesce((_queue_buckets.mapping).since, '-infinity');
begin
    insert into unreported (at, subject, metric, biller)
    select h.bucket_start, h.subject, v_metric.key, (_queue_buckets.mapping).biller
    from (
        select r.subject, _bucket_start(v_bucket, r.bucket_start) as bucket_start, sum(r.total) as total
        from rollups r
        where r.metric = v_metric.key and (_queue_buckets.subject is null or r.subject = _queue_buckets.subject)
          and r.bucket = case when v_adds then _fine_bucket(v_metric.period, v_metric.rollup) else v_bucket end
        group by 1, 2
    ) h
    left join reported d
        on d.subject = h.subject and d.metric = v_metric.key and d.biller = (_queue_buckets.mapping).biller
        and d.bucket_start = h.bucket_start
    where h.bucket_start >= v_since and (not v_adds or h.total is distinct from d.quantity + d.as_events);
end
$$;

comment on function _queue_buckets(report_metrics, text) is
    'Queues the buckets of a metric that is reported as deltas or values, of all subjects or one, that may not have been reported.';
