create or replace function _push(identifier text)
returns pushes
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_push pushes;
begin
    perform _check_name('identifier', _push.identifier, 100);
    select * into v_push from pushes p where p.identifier = _push.identifier;
    if v_push.push_id is null then
        raise exception using errcode = '22023', message = 'unknown identifier', column = 'identifier',
            detail = format('identifier %s.', quote_literal(_push.identifier)), hint = 'Give one of pushes().';
    end if;
    return v_push;
end
$$;

comment on function _push(text) is 'A push by its identifier. Raises 22004 for null, 22023 if there is none.';

create or replace function _replace_push(
    push pushes, customer text, event_name text, stamped_at timestamptz, due_at timestamptz, reason text, now timestamptz
)
returns pushes
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_new pushes;
begin
    insert into pushes (subject, metric, biller, bucket_start, event_id, mode, identifier, customer, event_name, value, stamped_at,
                        due_at, state, planned_at, next_attempt_at, replaces)
    values ((push).subject, (push).metric, (push).biller, (push).bucket_start, (push).event_id, (push).mode,
            _push_identifier(array[(push).identifier, _replace_push.customer, _replace_push.event_name,
                                   extract(epoch from _replace_push.stamped_at)::text]),
            _replace_push.customer, _replace_push.event_name, (push).value, _replace_push.stamped_at, _replace_push.due_at, 'planned',
            _replace_push.now, _replace_push.now, (push).push_id)
    returning * into v_new;
    update pushes p
    set state = 'replaced', reason = _replace_push.reason, replaced_by = v_new.push_id, settled_at = _replace_push.now
    where p.subject = (push).subject and p.push_id = (push).push_id;
    return v_new;
end
$$;

comment on function _replace_push(pushes, text, text, timestamptz, timestamptz, text, timestamptz) is
    'Plans another push, with an identifier of its own, for one that is not sent any more. The lanes of both are locked.';

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
      and (_retriable.identifier is null and p.reason is distinct from 'restored' or p.identifier = _retriable.identifier)
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
    if exists (select from _retriable(_check_retriable.biller, (push).identifier, _check_retriable.now)) then
        return;
    end if;
    select _customer(max(s.customer), (push).subject, (_check_retriable.biller).subject_is_customer) into v_customer
    from report_subjects s where s.subject = (push).subject and s.biller = (push).biller;
    v_reason := case
        when v_customer is null then 'its subject has no customer'
        when not exists (
            select from report_metrics r
            where r.biller = (push).biller and r.metric = (push).metric and r.event_name is not null) then 'its metric has no event name'
        when _digits((push).value) > (_check_retriable.biller).max_digits then 'its value has too many digits'
        when (push).stamped_at < _shift(_check_retriable.now, - (_check_retriable.biller).max_age) then
            'it is too old, and a value of mode last cannot get the present time'
        else 'another value is in its place'
    end;
    raise exception using
        errcode = '22023', message = 'the push cannot be sent as things are', column = 'identifier',
        detail = format('%s: %s.', (push).identifier, v_reason),
        hint = 'Map its subject or metric, or raise the biller''s max_digits, and retry; or decide with leave_pushes() that it is not sent.';
end
$$;

comment on function _check_retriable(billers, pushes, timestamptz) is
    'Refuses (22023) a rejected or held push that retry_pushes() could not send anew, and says why.';

create or replace function _guard_push()
returns trigger
language plpgsql
set search_path from current
as $$
#variable_conflict use_column
begin
    if tg_op = 'UPDATE' then
        if (new.push_id, new.subject, new.metric, new.biller, new.bucket_start, new.event_id, new.mode, new.identifier,
            new.customer, new.event_name, new.value, new.stamped_at)
           is not distinct from
           (old.push_id, old.subject, old.metric, old.biller, old.bucket_start, old.event_id, old.mode, old.identifier,
            old.customer, old.event_name, old.value, old.stamped_at) then
            return new;
        end if;
    end if;
    raise exception using
        errcode = '42501', message = 'what a push sends never changes',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'retry_pushes() and resolve_push() replace a push by another.';
end
$$;

comment on function _guard_push() is 'Trigger: refuses (42501) to delete a push or to change what it sends, for its owner too.';
