-- The clocks of a machine that was suspended or restored do not show how much time has passed; the database's clock does.
create or replace function confirm_push(
    biller text,
    worker text,
    identifier text,
    attempt integer,
    margin interval default '0',
    now timestamptz default clock_timestamp()
)
returns boolean
language plpgsql
stable
security definer
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_push pushes;
begin
    if _is_open('confirm_push') then perform _check_caller('confirm_push'); end if;
    perform _check_name('biller', confirm_push.biller, 100), _check_name('worker', confirm_push.worker, 200),
        _check_name('identifier', confirm_push.identifier, 100), _check_time('now', confirm_push.now, required => true), _check_read_committed();
    if confirm_push.margin is null or confirm_push.margin < interval '0' then
        raise exception using
            errcode = case when confirm_push.margin is null then '22004' else '22023' end,
            message = 'margin is null or negative', column = 'margin', detail = format('margin %s.', confirm_push.margin),
            hint = 'Use the longest time that one call to the biller can take, such as 30 seconds.';
    end if;
    if confirm_push.attempt is null then
        raise exception using errcode = '22004', message = 'attempt is null', column = 'attempt',
            hint = 'Pass the attempt that claim_pushes() returned.';
    end if;
    -- Two look-ups by key: a join might be planned from the lanes, and one worker may hold many.
    select * into v_push from pushes p where p.identifier = confirm_push.identifier;
    return coalesce(v_push.biller = confirm_push.biller and v_push.state = 'sending' and v_push.attempts = confirm_push.attempt, false)
        and exists (
            select from report_lanes l
            where l.biller = v_push.biller and l.customer = v_push.customer and l.event_name = v_push.event_name
              and l.worker = confirm_push.worker and l.leased_until > _shift(confirm_push.now, confirm_push.margin));
end
$$;

comment on function confirm_push(text, text, text, integer, interval, timestamptz) is
    'Returns whether this attempt of a push still belongs to the worker and its lease lasts longer than margin. Call it right before each '
    'send, and send only if it returns true: a suspended machine cannot tell from its own clock how much time has passed. Raises 22004 or '
    '22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT meter.confirm_push(''stripe'', '
    '''worker_1'', identifier, attempt => 1, now => ''2026-06-18 16:31+00'') FROM meter.pushes(state => ''sending'', max_rows => 1);';
