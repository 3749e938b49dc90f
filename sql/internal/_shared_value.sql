-- Only what is known at mapping: what two subjects record later is held by plan_pushes().
create or replace function _shared_value(biller billers, metric text, subject text)
returns table (metric text, customer text, period_start timestamptz, subjects text[])
language sql
stable
set search_path from current
as $$
    select u.metric, u.customer, u.bucket_start, array_agg(u.subject order by u.subject)
    from (
        select distinct t.metric, r.bucket_start, r.subject,
               _customer(s.customer, r.subject, (_shared_value.biller).subject_is_customer) as customer
        from report_metrics t
        join metrics m on m.key = t.metric
        join rollups r on r.metric = t.metric and r.bucket = m.period and r.bucket_start >= coalesce(t.since, '-infinity')
        left join report_subjects s on s.subject = r.subject and s.biller = (_shared_value.biller).biller
        where t.biller = (_shared_value.biller).biller and t.mode = 'last' and t.event_name is not null
          and (_shared_value.metric is null or t.metric = _shared_value.metric)
          and (_shared_value.subject is null or r.subject in (
              select o.subject from report_subjects o
              where o.biller = (_shared_value.biller).biller and o.customer = (
                  select c.customer from report_subjects c
                  where c.biller = (_shared_value.biller).biller and c.subject = _shared_value.subject)
              union all
              select c.customer from report_subjects c
              where c.biller = (_shared_value.biller).biller and c.subject = _shared_value.subject))
    ) u
    where u.customer is not null
    group by 1, 2, 3
    having count(*) > 1
    limit 1
$$;

comment on function _shared_value(billers, text, text) is
    'A customer for whom several subjects have values of a metric of mode last in the same period, of all metrics or one, of all '
    'customers or that of one subject; no row if there is none.';
