-- A value in mode last is never sent with the present time: it would overwrite the current period's value.
create or replace function _retriable_pushes(biller billers, identifier text, now timestamptz)
returns table (push pushes, customer text, event_name text, stamped_at timestamptz, due_at timestamptz)
language sql
stable
set search_path from current
as $$
    select p, c.customer, r.event_name, f.stamped_at,
           _shift(nullif(_bucket_end(m.period, _bucket_start(m.period, f.stamped_at)), 'infinity'), (_retriable_pushes.biller).grace)
    from pushes p
    join report_metrics r on r.biller = p.biller and r.metric = p.metric and r.event_name is not null
    join metrics m on m.key = p.metric
    left join report_subjects s on s.subject = p.subject and s.biller = p.biller
    cross join lateral (select _customer(s.customer, p.subject, (_retriable_pushes.biller).subject_is_customer) as customer) c
    cross join lateral (select p.stamped_at < _shift(now, - (_retriable_pushes.biller).max_age) as is_too_old) o
    cross join lateral (
        select case when p.mode <> 'last' and (
                             o.is_too_old or p.reason in ('late', 'too_old') or p.due_at < now and (_retriable_pushes.biller).late <> 'send')
                    then _whole_second(now) else p.stamped_at end as stamped_at
    ) f
    where p.biller = (_retriable_pushes.biller).biller and p.state in ('rejected', 'held') and ((select _all_here()) or _is_home(p.subject))
      and (_retriable_pushes.identifier is null and p.reason is distinct from 'restored' or p.identifier = _retriable_pushes.identifier)
      and c.customer is not null and _digit_count(p.value) <= (_retriable_pushes.biller).max_digits
      and (p.mode <> 'last' or not o.is_too_old and not exists (
          select from pushes n
          where n.subject = p.subject and n.push_id > p.push_id and n.metric = p.metric and n.biller = p.biller
            and n.bucket_start = p.bucket_start and n.state <> 'replaced'
      ) and not _has_competing_value(_retriable_pushes.biller, p.subject, p.metric, c.customer, r.event_name, p.bucket_start,
                                     _bucket_end(m.period, p.bucket_start)))
    union all
    select p, c.customer, p.event_name, p.stamped_at, null
    from pushes p
    left join report_subjects s on s.subject = p.subject and s.biller = p.biller
    cross join lateral (select _customer(s.customer, p.subject, (_retriable_pushes.biller).subject_is_customer) as customer) c
    where p.biller = (_retriable_pushes.biller).biller and p.state in ('rejected', 'held') and p.mode = 'item'
      and ((select _all_here()) or _is_home(p.subject))
      and (_retriable_pushes.identifier is null and p.reason is distinct from 'restored' or p.identifier = _retriable_pushes.identifier)
      and c.customer is not null and _digit_count(p.value) <= (_retriable_pushes.biller).max_digits and _is_minor_amount(p.metric, p.value)
    order by 1
$$;

comment on function _retriable_pushes(billers, text, timestamptz) is
    'The rejected and held pushes that can be sent again, all or one, with the customer and event name of the current mappings, and with '
    'the present time where their own is too old or too late; invoice items keep theirs. A value in mode last is retriable only if it is not '
    'too old, no newer value follows it, and it would not overwrite the value of another subject or metric.';

create or replace function _check_retriable(biller billers, push pushes, now timestamptz)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_customer text;
    v_reason   text;
begin
    if exists (select from _retriable_pushes(_check_retriable.biller, (push).identifier, _check_retriable.now)) then
        return;
    end if;
    select _customer(max(s.customer), (push).subject, (_check_retriable.biller).subject_is_customer) into v_customer
    from report_subjects s where s.subject = (push).subject and s.biller = (push).biller;
    v_reason := case
        when v_customer is null then 'its subject has no customer'
        when (push).mode = 'item' and not _is_minor_amount((push).metric, (push).value) then 'the biller has no such amount in its currency'
        when (push).mode <> 'item' and not exists (
            select from report_metrics r
            where r.biller = (push).biller and r.metric = (push).metric and r.event_name is not null) then 'its metric has no event name'
        when _digit_count((push).value) > (_check_retriable.biller).max_digits then 'its value has too many digits'
        when (push).stamped_at < _shift(_check_retriable.now, - (_check_retriable.biller).max_age) then
            'it is too old, and a value of mode last cannot get the present time'
        else 'another value takes its place'
    end;
    raise exception using
        errcode = '22023', message = 'the push cannot be sent again yet', column = 'identifier',
        detail = format('%s: %s.', (push).identifier, v_reason),
        hint = 'Map its subject or metric, or raise the biller''s max_digits, then retry. To give it up, call leave_pushes().';
end
$$;

comment on function _check_retriable(billers, pushes, timestamptz) is
    'Refuses (22023) a rejected or held push that retry_pushes() cannot send again, with the cause in DETAIL.';
