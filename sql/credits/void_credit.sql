create or replace function void_credit(credit_id bigint, reason text)
returns credit
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_before credits;
    v_after  credits;
begin
    if _is_open('void_credit') then perform _check_caller('void_credit'); end if;
    perform _check_read_committed('voiding credit');
    if void_credit.credit_id is null then
        raise exception using errcode = '22004', message = 'credit_id is null', column = 'credit_id', hint = 'credits() lists those of a subject.';
    end if;
    perform _check_name('reason', void_credit.reason, 1000);
    select * into v_before from credits c where c.credit_id = void_credit.credit_id;
    if not found then
        raise exception using
            errcode = 'UM007', message = 'no such credit', column = 'credit_id', detail = format('credit %s.', void_credit.credit_id),
            hint = 'credits() lists those of a subject.';
    end if;
    perform _lock_sealed(v_before.subject);
    if not exists (select from credits c where c.credit_id = void_credit.credit_id and c.subject = v_before.subject) then
        perform _raise_busy(format('credit %s, whose subject was erased meanwhile', void_credit.credit_id));
    end if;
    update credits c set voided_at = _history_recorded_at(v_before.subject), void_reason = void_credit.reason
    where c.credit_id = void_credit.credit_id and c.voided_at is null
    returning c.* into v_after;
    if found then
        perform _log_change('void_credit', v_before.subject, to_jsonb(v_before), to_jsonb(v_after));
    end if;
    return _credit(void_credit.credit_id);
end
$$;

comment on function void_credit(bigint, text) is
    'Takes back what is left of a credit, and returns it; statements that were paid with a part of it stay as they are. One that is void already is '
    'returned unchanged. reason: why, for people. Raises UM007 for an unknown credit, 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or '
    'SERIALIZABLE transaction, 55P03 if the subject is being closed, UM008 for a subject that is on another shard or being moved. Example: SELECT '
    'v.remaining, v.void_reason FROM meter.credits(''acct_1'') c, '
    'meter.void_credit(c.credit_id, ''a mistake'') v;';
