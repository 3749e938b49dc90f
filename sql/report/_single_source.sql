create or replace function _check_single_source(biller billers, metric text, subject text)
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
        select from report_metrics t where t.biller = (_check_single_source.biller).biller and t.mode = 'last' and t.event_name is not null
          and (_check_single_source.metric is null or t.metric = _check_single_source.metric)
    ) then
        return;
    end if;
    select * into v_shared from _shared_customer(_check_single_source.biller, _check_single_source.metric, _check_single_source.subject);
    if v_shared.metric is not null then
        raise exception using
            errcode = '22023', message = 'two subjects of one customer have values of a metric in mode last',
            column = case when _check_single_source.subject is null then 'mode' else 'customer' end,
            detail = format('%s of %s for customer %s, period %s.', quote_literal(v_shared.metric),
                array_to_string(array(select quote_literal(left(s, 80)) from unnest(v_shared.subjects[1:2]) s), ' and '),
                quote_literal(v_shared.customer), to_char(v_shared.period_start at time zone interval '0', 'YYYY-MM-DD HH24:MI')),
            hint = 'The biller keeps one value per customer and event name. Record the customer''s value under one subject, map each subject '
                'to its own customer, or set a later since.';
    end if;
end
$$;

comment on function _check_single_source(billers, text, text) is
    'Refuses (22023) a mapping under which two subjects of one customer have values of a metric in mode last in the same period, since one '
    'would overwrite the other.';

-- Covers only values that exist when the mapping is made. Later ones are held by plan_pushes().
create or replace function _shared_customer(biller billers, metric text, subject text)
returns table (metric text, customer text, period_start timestamptz, subjects text[])
language sql
stable
set search_path from current
as $$
    select u.metric, u.customer, u.bucket_start, array_agg(u.subject order by u.subject)
    from (
        select distinct t.metric, b.bucket_start, b.subject,
               _customer(s.customer, b.subject, (_shared_customer.biller).subject_is_customer) as customer
        from report_metrics t
        join metrics m on m.key = t.metric
        join buckets b on b.metric = t.metric and b.bucket = m.period and b.bucket_start >= coalesce(t.since, '-infinity')
        left join report_subjects s on s.subject = b.subject and s.biller = (_shared_customer.biller).biller
        where t.biller = (_shared_customer.biller).biller and t.mode = 'last' and t.event_name is not null
          and (_shared_customer.metric is null or t.metric = _shared_customer.metric)
          and (_shared_customer.subject is null or b.subject in (
              select o.subject from report_subjects o
              where o.biller = (_shared_customer.biller).biller and o.customer = (
                  select c.customer from report_subjects c
                  where c.biller = (_shared_customer.biller).biller and c.subject = _shared_customer.subject)
              union all
              select c.customer from report_subjects c
              where c.biller = (_shared_customer.biller).biller and c.subject = _shared_customer.subject))
    ) u
    where u.customer is not null
    group by 1, 2, 3
    having count(*) > 1
    limit 1
$$;

comment on function _shared_customer(billers, text, text) is
    'A customer for which several subjects have values of a metric in mode last in the same period; no row if there is none. With metric or '
    'subject, only that metric or that subject''s customer is searched.';

-- A value does not count if its subject or metric is no longer mapped to this customer and event name.
-- biller || '' keeps the index of all customers of the biller out: a subject's customer is found by the subject.
create or replace function _has_competing_value(
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
        where p.biller = (_has_competing_value.biller).biller and p.customer = _has_competing_value.customer
          and p.event_name = _has_competing_value.event_name
          and p.stamped_at >= _has_competing_value.since and p.stamped_at < _has_competing_value.until
          and p.mode = 'last' and p.state not in ('held', 'left', 'rejected', 'replaced')
          and (p.subject, p.metric) <> (_has_competing_value.subject, _has_competing_value.metric)
          and _customer((select s.customer from report_subjects s where s.subject = p.subject and s.biller || '' = p.biller),
                        p.subject, (_has_competing_value.biller).subject_is_customer) = p.customer);
end
$$;

comment on function _has_competing_value(billers, text, text, text, text, timestamptz, timestamptz) is
    'Whether another subject or metric with the same customer and event name has a value in mode last that was sent, or will be, for the '
    'period [since, until).';
