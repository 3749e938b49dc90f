-- Reads the buckets of whole periods, which are the fewest. Only a mapping with since needs finer ones, and the log where it reports
-- single events from a time within a fine bucket.
create or replace function _unmapped_usage(biller billers)
returns table (subject text, metric text, quantity numeric, oldest timestamptz)
language sql
stable
set search_path from current
as $$
    with mapped as (
        select t.metric, t.mode, t.event_name, t.since, m.aggregate,
               case when t.since is not null and t.mode <> 'last' and m.aggregate in ('sum', 'count')
                    then m.fine_bucket else m.period end as bucket
        from report_metrics t
        join metrics m on m.key = t.metric
        where t.biller = (_unmapped_usage.biller).biller
    ), used as (
        select b.subject, k.metric, k.mode, k.since, k.aggregate, b.bucket_start,
               _quantity(k.aggregate, sum(b.event_count)::bigint, sum(b.total), min(b.lowest), max(b.highest), (max(b.latest))[3]) as quantity
        from mapped k
        join buckets b on b.metric = k.metric and b.bucket = k.bucket and b.bucket_start >= coalesce(k.since, '-infinity')
        left join report_subjects s on s.subject = b.subject and s.biller = (_unmapped_usage.biller).biller
        where (k.event_name is null or _customer(s.customer, b.subject, (_unmapped_usage.biller).subject_is_customer) is null)
          and ((select _all_here()) or _is_here(b.subject))
        group by 1, 2, 3, 4, 5, 6
        union all
        select u.subject, k.metric, k.mode, k.since, k.aggregate, k.since, sum(e.quantity)
        from mapped k
        join series u on u.metric = k.metric and u.stripe = 0
        join events e
            on e.series_id = u.series_id and e.at >= k.since and e.at < _bucket_end(k.bucket, _bucket_start(k.bucket, k.since))
        left join report_subjects s on s.subject = u.subject and s.biller = (_unmapped_usage.biller).biller
        where k.mode = 'event' and ((select _all_here()) or _is_here(u.subject)) and k.since > _bucket_start(k.bucket, k.since)
          and (k.event_name is null or _customer(s.customer, u.subject, (_unmapped_usage.biller).subject_is_customer) is null)
        group by 1, 2, 3, 4, 5
    ), reportable as (
        select subject, metric, since, min(bucket_start) as oldest,
               sum(_reported_quantity(aggregate, mode, quantity, (_unmapped_usage.biller).max_digits)) as quantity
        from used
        group by 1, 2, 3
    )
    select u.subject, u.metric, u.quantity - coalesce(d.quantity, 0), u.oldest
    from reportable u
    left join lateral (
        select sum(d.quantity + d.as_events) as quantity
        from reported d
        where d.subject = u.subject and d.metric = u.metric and d.biller = (_unmapped_usage.biller).biller
          and d.bucket_start >= coalesce(_bucket_start('hour', u.since), '-infinity')
    ) d on true
    where u.quantity <> coalesce(d.quantity, 0)
$$;

comment on function _unmapped_usage(billers) is
    'Usage of metrics that are or were reported to a biller for which no push is planned, because the metric no longer has an event name or '
    'the subject has no customer. What was reported while they had one is subtracted.';
