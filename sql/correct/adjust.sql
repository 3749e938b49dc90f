create or replace function adjust(
    subject text, metric text, quantity numeric, at timestamptz default now(), reason text default null, idempotency_key text default null
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
    if _is_open('adjust') then perform _check_caller('adjust'); end if;
    v_entry.entry := 'adjust';
    v_entry.subject := adjust.subject;
    v_entry.metric := adjust.metric;
    v_entry.quantity := trim_scale(adjust.quantity);
    v_entry.at := coalesce(adjust.at, now());
    v_entry.idempotency_key := adjust.idempotency_key;
    v_entry.reason := adjust.reason;
    return _correct_at_once(v_entry);
end
$$;

comment on function adjust(text, text, numeric, timestamptz, text, text) is
    'Adds a signed quantity to the usage of a sum or count: a credit, a goodwill, a meter that ran too fast. It is no event: event_count stays. '
    'quantity: in the metric''s unit, negative to take usage away. at: the time at which it counts; null means now(). reason: why, for '
    'corrections(). idempotency_key: a repeat with the same key and quantity is a duplicate; it is a key of record() too. No limit refuses it. '
    'Returns the correction, the id of the adjustment, the outcome (applied, duplicate or conflict) and the new quantity of the period. Raises '
    'UM001 for an unknown metric, UM002 for one that is neither sum nor count, otherwise as void_event() does and as record() does. '
    'Example: BEGIN; SELECT outcome, quantity FROM meter.adjust(''acct_9'', ''tokens'', -5, reason => ''goodwill''); ROLLBACK;';
