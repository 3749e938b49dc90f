create or replace function subscribe(subject text, plan text, since timestamptz default now(), until timestamptz default null)
returns subscriptions
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_new   subscriptions;
    v_other subscriptions;
begin
    if _is_open('subscribe') then perform _check_caller('subscribe'); end if;
    perform _check_name('subject', subscribe.subject, 512), _check_plan(subscribe.plan),
        _check_time('since', subscribe.since, required => true), _check_time('until', subscribe.until);
    if subscribe.since >= subscribe.until then
        raise exception using errcode = '22023', message = 'the subscription is empty or reversed', column = 'until',
            hint = 'since must be before until.';
    end if;
    perform _lock_sealed(subscribe.subject), _lock_limited_subject(subscribe.subject);
    select * into v_other
    from subscriptions s
    where s.subject = subscribe.subject and s.plan = subscribe.plan
      and s.since < coalesce(subscribe.until, 'infinity') and coalesce(s.until, 'infinity') > subscribe.since
    order by s.since
    limit 1;
    if (v_other.since, v_other.until) is not distinct from (subscribe.since, subscribe.until) and v_other.subject is not null then
        return v_other;
    elsif v_other.subject is not null then
        raise exception using
            errcode = '22023', message = 'the subject has the plan already in a part of that time', column = 'since',
            detail = format('subject %s, plan %s: subscribed from %s until %s.', quote_literal(left(subscribe.subject, 80)),
                quote_literal(subscribe.plan), v_other.since, coalesce(v_other.until::text, 'further notice')),
            hint = 'End that subscription first with unsubscribe(), or choose another time.';
    end if;
    perform _check_currencies(subscribe.subject, subscribe.plan, subscribe.since, subscribe.until);
    insert into subscriptions (subject, plan, since, until)
    values (subscribe.subject, subscribe.plan, subscribe.since, subscribe.until)
    returning * into v_new;
    perform _note_subscriptions(subscribe.subject), _limits_changed(subscribe.subject),
        _log_change('subscribe', subscribe.subject, null, to_jsonb(v_new)), _notify('subscription.changed', subscribe.subject, null, to_jsonb(v_new));
    return v_new;
end
$$;

comment on function subscribe(text, text, timestamptz, timestamptz) is
    'Subscribes a subject to a plan in [since, until), and returns the subscription; without until it is open. The plan''s limits then hold for '
    'the subject. A repetition with the same times changes nothing. The subject''s recording waits until the transaction ends. Raises 22004 or '
    '22023 for a bad value, an overlap with another subscription to the same plan or with a plan of another currency, UM007 for an unknown plan, '
    '55P03 if transactions that record for the subject stay open for 5 seconds, or one that gives a plan its first price '
    'for 2, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT plan FROM meter.define_plan(''pro''); SELECT '
    'subject, plan, until '
    'FROM meter.subscribe(''acct_1'', ''pro'', since => ''2026-06-01''); ROLLBACK;';
