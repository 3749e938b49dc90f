create or replace function amend_event(
    subject text, metric text, event_id bigint default null, idempotency_key text default null, quantity numeric default null,
    member text default null, at timestamptz default null, metadata jsonb default null, reason text default null
)
returns corrected
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_entry correction_entries;
begin
    if _is_open('amend_event') then perform _check_caller('amend_event'); end if;
    v_entry.entry := 'amend';
    v_entry.subject := amend_event.subject;
    v_entry.metric := amend_event.metric;
    v_entry.quantity := trim_scale(amend_event.quantity);
    v_entry.member := amend_event.member;
    v_entry.at := amend_event.at;
    v_entry.metadata := amend_event.metadata;
    v_entry.reason := amend_event.reason;
    perform _check_correcting();
    v_entry := _with_event(v_entry, amend_event.event_id, amend_event.idempotency_key, null);
    return _correct_at_once(v_entry);
end
$$;

comment on function amend_event(text, text, bigint, text, numeric, text, timestamptz, jsonb, text) is
    'Replaces an event by a new one: voids it, and records another in its place. What is left out stays as it is. The idempotency key then names '
    'the new event; a retry with the old or with the new payload is a duplicate. event_id or idempotency_key: which event. reason: why, for '
    'corrections(). No limit refuses it. Returns the correction, the new event, the outcome and the new quantity of the period of the new event. '
    'outcome: applied; duplicate if it would change nothing; conflict if the event does not count any more. Raises as void_event() '
    'does and as record() does. '
    'Example: BEGIN; SELECT outcome FROM meter.record(''acct_9'', ''tokens'', 50, idempotency_key => ''req_9''); SELECT outcome, quantity FROM '
    'meter.amend_event(''acct_9'', ''tokens'', idempotency_key => ''req_9'', quantity => 20, reason => ''counted twice''); ROLLBACK;';
