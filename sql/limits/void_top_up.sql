create or replace function void_top_up(top_up_id bigint, reason text)
returns top_ups
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_before top_ups;
    v_after  top_ups;
begin
    if _is_open('void_top_up') then perform _check_caller('void_top_up'); end if;
    if void_top_up.top_up_id is null then
        raise exception using errcode = '22004', message = 'top_up_id is null', column = 'top_up_id', hint = 'Pass the id that top_up() returned.';
    end if;
    perform _check_name('reason', void_top_up.reason, 1000);
    select * into v_before from top_ups t where t.top_up_id = void_top_up.top_up_id;
    if not found then
        raise exception using
            errcode = 'UM007', message = 'no such top-up', column = 'top_up_id', detail = format('top-up %s.', void_top_up.top_up_id),
            hint = 'top_ups() lists those of a subject.';
    end if;
    perform _lock_limited_subject(v_before.subject);
    update top_ups t set voided_at = clock_timestamp(), void_reason = void_top_up.reason
    where t.top_up_id = void_top_up.top_up_id and t.voided_at is null
    returning t.* into v_after;
    if not found then
        select * into v_after from top_ups t where t.top_up_id = void_top_up.top_up_id;
        return v_after;
    end if;
    perform _top_ups_changed(v_before.metric, v_before.subject),
        _log_change('void_top_up', v_before.subject, to_jsonb(v_before), to_jsonb(v_after));
    return v_after;
end
$$;

comment on function void_top_up(bigint, text) is
    'Takes a top-up back: it then counts as if it had never been, also for usage that took from it, which other top-ups cover instead or which shows '
    'as overrun. reason: why, for people. Returns the top-up; one that is void already is returned unchanged. The subject''s recording waits until '
    'the transaction ends. Raises UM007 if there is no such top-up, 22004 or 22023 for a bad value, 55P03 as set_limit() does, UM008 for a subject '
    'that is on another shard or being moved. Example: BEGIN; '
    'SELECT v.quantity, v.void_reason FROM meter.top_up(''acct_1'', ''tokens'', 200, ''invoice_17'') t, meter.void_top_up(t.top_up_id, '
    '''refunded'') v; ROLLBACK;';
