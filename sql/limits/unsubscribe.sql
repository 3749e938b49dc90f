create or replace function unsubscribe(subject text, plan text, at timestamptz default now())
returns subscriptions
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_before subscriptions;
    v_after  subscriptions;
begin
    if _is_open('unsubscribe') then perform _check_caller('unsubscribe'); end if;
    perform _check_name('subject', unsubscribe.subject, 512), _check_plan(unsubscribe.plan),
        _check_time('at', unsubscribe.at, required => true), _lock_sealed(unsubscribe.subject), _lock_limited_subject(unsubscribe.subject);
    select * into v_before
    from subscriptions s
    where s.subject = unsubscribe.subject and s.plan = unsubscribe.plan and coalesce(s.until, 'infinity') >= unsubscribe.at
    order by s.since
    limit 1;
    if v_before.subject is null then
        raise exception using
            errcode = 'UM007', message = 'no such subscription', column = 'plan',
            detail = format('subject %s has no plan %s at that time or later.', quote_literal(left(unsubscribe.subject, 80)),
                quote_literal(unsubscribe.plan)),
            hint = 'subscriptions() lists what the subject has.';
    elsif v_before.until = unsubscribe.at then
        return v_before;
    elsif v_before.since >= unsubscribe.at then
        delete from subscriptions s where s.subscription_id = v_before.subscription_id;
        v_after := v_before;
        v_after.until := v_after.since;
    else
        update subscriptions s set until = unsubscribe.at where s.subscription_id = v_before.subscription_id returning * into v_after;
    end if;
    perform _note_subscriptions(unsubscribe.subject), _limits_changed(unsubscribe.subject),
        _log_change('unsubscribe', unsubscribe.subject, to_jsonb(v_before), to_jsonb(v_after)),
        _notify('subscription.changed', unsubscribe.subject, null, to_jsonb(v_after));
    return v_after;
end
$$;

comment on function unsubscribe(text, text, timestamptz) is
    'Ends a subject''s subscription to a plan at a time, and returns it; one that would begin later is removed, and returned with until equal to '
    'since. Raises 22004 or 22023 for a bad value, UM007 for an unknown plan or if there is no such subscription, 55P03 as subscribe() does, UM008 '
    'for a subject that is on another shard or being moved. '
    'Example: BEGIN; SELECT plan FROM meter.define_plan(''pro''); SELECT plan FROM meter.subscribe(''acct_1'', ''pro'', since => ''2026-06-01''); '
    'SELECT plan, until FROM meter.unsubscribe(''acct_1'', ''pro'', at => ''2026-07-01''); ROLLBACK;';
