create or replace function _check_one_value(biller billers, metric text, subject text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_shared record;
begin
    if not exists (
        select from report_metrics t where t.biller = (_check_one_value.biller).biller and t.mode = 'last' and t.event_name is not null
          and (_check_one_value.metric is null or t.metric = _check_one_value.metric)
    ) then
        return;
    end if;
    select * into v_shared from _shared_value(_check_one_value.biller, _check_one_value.metric, _check_one_value.subject);
    if v_shared.metric is not null then
        raise exception using
            errcode = '22023', message = 'two subjects of one customer have values of a metric that is reported in mode last',
            column = case when _check_one_value.subject is null then 'mode' else 'customer' end,
            detail = format('%s of %s for customer %s, period %s.', quote_literal(v_shared.metric),
                array_to_string(array(select quote_literal(left(s, 80)) from unnest(v_shared.subjects[1:2]) s), ' and '),
                quote_literal(v_shared.customer), to_char(v_shared.period_start at time zone interval '0', 'YYYY-MM-DD HH24:MI')),
            hint = 'The biller keeps one value per customer and event name. Record the customer''s value under one subject, map the subjects '
                'to customers of their own, or report the metric from a later since.';
    end if;
end
$$;

comment on function _check_one_value(billers, text, text) is
    'Refuses (22023) a mapping by which two subjects of one customer would overwrite each other''s values (mode last), as far as they have '
    'values already.';

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

-- What its subject or metric is no longer mapped to does not count: a person has decided that the other one takes its place.
create or replace function _has_rival(
    biller billers, subject text, metric text, customer text, event_name text, since timestamptz, until timestamptz
)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return exists (
        select from pushes p
        join report_metrics r on r.biller = p.biller and r.metric = p.metric and r.event_name = p.event_name
        left join report_subjects s on s.subject = p.subject and s.biller = p.biller
        where p.biller = (_has_rival.biller).biller and p.customer = _has_rival.customer and p.event_name = _has_rival.event_name
          and p.stamped_at >= _has_rival.since and p.stamped_at < _has_rival.until
          and p.mode = 'last' and p.state not in ('held', 'left', 'rejected', 'replaced')
          and (p.subject, p.metric) <> (_has_rival.subject, _has_rival.metric)
          and _customer(s.customer, p.subject, (_has_rival.biller).subject_is_customer) = p.customer);
end
$$;

comment on function _has_rival(billers, text, text, text, text, timestamptz, timestamptz) is
    'Whether another subject or metric that is mapped to the same customer and event name has a value of mode last that was or will be '
    'sent for the period [since, until).';
