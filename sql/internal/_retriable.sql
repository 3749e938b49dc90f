-- A value of mode last never gets the present time: it would overwrite the present period's value.
create or replace function _retriable(biller billers, identifier text, now timestamptz)
returns table (push pushes, customer text, event_name text, stamped_at timestamptz, due_at timestamptz)
language sql
stable
set search_path from current
as $$
    select p, c.customer, r.event_name, f.stamped_at,
           _shift(nullif(_bucket_end(m.period, _bucket_start(m.period, f.stamped_at)), 'infinity'), (_retriable.biller).grace)
    from pushes p
    join report_metrics r on r.biller = p.biller and r.metric = p.metric and r.event_name is not null
    join metrics m on m.key = p.metric
    left join report_subjects s on s.subject = p.subject and s.biller = p.biller
    cross join lateral (select _customer(s.customer, p.subject, (_retriable.biller).subject_is_customer) as customer) c
    cross join lateral (select p.stamped_at < _shift(now, - (_retriable.biller).max_age) as is_too_old) o
    cross join lateral (
        select case when p.mode <> 'last' and (
                             o.is_too_old or p.reason in ('late', 'too_old') or p.due_at < now and (_retriable.biller).late <> 'send')
                    then _whole_second(now) else p.stamped_at end as stamped_at
    ) f
    where p.biller = (_retriable.biller).biller and p.state in ('rejected', 'held')
      and (_retriable.identifier is null and p.reason <> 'restored' or p.identifier = _retriable.identifier)
      and c.customer is not null and _digits(p.value) <= (_retriable.biller).max_digits
      and (p.mode <> 'last' or not o.is_too_old and not exists (
          select from pushes n
          where n.subject = p.subject and n.push_id > p.push_id and n.metric = p.metric and n.biller = p.biller
            and n.bucket_start = p.bucket_start and n.state <> 'replaced'
      ) and not _has_rival(_retriable.biller, p.subject, p.metric, c.customer, r.event_name, p.bucket_start,
                           _bucket_end(m.period, p.bucket_start)))
    order by p.push_id
$$;

comment on function _retriable(billers, text, timestamptz) is
    'The rejected and held pushes that can be sent anew, all or one, and how: to the customer and event name of the present mappings, and '
    'with the present time where theirs is too old or too late. A value of mode last only if it is neither too old, nor followed by a newer '
    'one, nor would overwrite the value of another subject or metric.';
