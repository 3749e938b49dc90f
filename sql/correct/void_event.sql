create or replace function void_event(
    subject text, metric text, event_id bigint default null, idempotency_key text default null, reason text default null,
    at timestamptz default null
)
returns corrected
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_entry     correction_entries;
    v_corrected corrected;
begin
    if _is_open('void_event') then perform _check_caller('void_event'); end if;
    if void_event.reason >= '!' collate "C" and length(void_event.reason) <= 10000
        and ((void_event.idempotency_key is null) <> (void_event.event_id is null)) and (void_event.event_id is null or void_event.at is not null)
        and current_setting('transaction_isolation') = 'read committed'
    then
        perform _check_home(void_event.subject);
        v_corrected := _void_ordinary(void_event.subject, void_event.metric, void_event.event_id, void_event.idempotency_key, void_event.reason,
                                      void_event.at);
        if v_corrected.outcome is not null then
            return v_corrected;
        end if;
    end if;
    v_entry.entry := 'void';
    v_entry.subject := void_event.subject;
    v_entry.metric := void_event.metric;
    v_entry.reason := void_event.reason;
    perform _check_correcting();
    v_entry := _with_event(v_entry, void_event.event_id, void_event.idempotency_key, void_event.at);
    return _correct_at_once(v_entry);
end
$$;

comment on function void_event(text, text, bigint, text, text, timestamptz) is
    'Takes an event back: it no longer counts, in the period that it counted in. It stays in the log, and its idempotency key stays spent. '
    'event_id or idempotency_key: which event; a key names the event that has replaced the first one, if it was amended. at: the event''s time, '
    'by which it is found faster. reason: why, for corrections(). An adjustment can be voided too. Returns the correction, the event, the outcome '
    'and the new quantity of the period. outcome: applied, or duplicate if the event does not count any more. Limits get the quantity back, and '
    'what was reported to a biller is taken back from it. Raises UM001 for an unknown metric, UM007 for an unknown event, UM006 if its month was '
    'dropped, 22004 or 22023 for a bad value, 42501 with the setting four_eyes, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if '
    'its series is locked for more than a second, UM008 for a subject that is on another shard or being moved. '
    'Example: BEGIN; SELECT outcome FROM meter.record(''acct_9'', ''tokens'', 50, idempotency_key => ''req_9''); SELECT outcome, quantity FROM '
    'meter.void_event(''acct_9'', ''tokens'', idempotency_key => ''req_9'', reason => ''test traffic''); ROLLBACK;';
