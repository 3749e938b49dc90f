-- The short way through _event_problem(): every function that an expression calls is set up anew in each transaction, so forty tests
-- cost as much as writing the event. What this one lets through breaks none of the rules; the others are asked about what it does not.
-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_plain_event(
    aggregate text, retired_at timestamptz,
    subject text, metric text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb
)
returns boolean
language sql
stable parallel safe
as $$
    select aggregate <> 'unique' and retired_at is null and member is null and metadata is null
        -- In the order of bytes, what begins with white space is less than an exclamation mark.
        and subject >= '!' collate "C" and coalesce(idempotency_key, '!') >= '!' collate "C"
        and octet_length(subject || metric || coalesce(idempotency_key, '')) <= 512
        and quantity >= 0 and quantity < 1e50 and scale(quantity) <= 50
        and at >= timestamptz '1970-01-01 00:00:00+00' and at <= now()
$$;

comment on function _is_plain_event(text, timestamptz, text, text, numeric, text, text, timestamptz, jsonb) is
    'True only of events that _event_problem() finds nothing wrong with, and of nearly every event; null is no.';
