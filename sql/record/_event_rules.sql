-- Everything an event can be refused for, once. _event_problem() decides, record() and record_batch() tell.
create or replace function _problems()
returns setof problem
language sql
stable parallel safe
as $$
    values
        ('not_an_object', '22023', 'events', 'an event is not a JSON object',
            'Give each event as an object with the names of record()''s parameters.'),
        ('unknown_field', '22023', 'events', 'an event has an unknown field',
            'The fields are subject, metric, quantity, member, idempotency_key, at and metadata; put your own into metadata.'),
        ('wrong_type', '22023', 'events', 'a field of an event has the wrong JSON type',
            'Texts are strings, quantity is a number or a numeric string, at a string, metadata an object.'),
        ('subject_null', '22004', 'subject', 'subject is null', 'Name who consumed: an account, a user, an API key.'),
        ('subject_blank', '22023', 'subject', 'subject is blank', 'Name who consumed: an account, a user, an API key.'),
        ('subject_long', '22023', 'subject', 'subject is longer than 512 characters', 'Use a shorter identifier, or a digest of it.'),
        ('metric_null', '22004', 'metric', 'metric is null', 'Name a metric of catalog().'),
        ('metric_unknown', 'UM001', 'metric', 'unknown metric',
            format('Define it first: SELECT %I.define_metric(key, aggregate, unit), or: pymeter define KEY AGGREGATE UNIT.',
                current_schema())),
        ('metric_retired', 'UM002', 'metric', 'the metric is retired', 'Record to its successor, or define it again to bring it back.'),
        ('names_long', '22023', 'subject', 'subject and metric together are longer than 2600 bytes',
            'Use shorter identifiers: together they must fit into an index entry.'),
        ('quantity_null', '22004', 'quantity', 'quantity is null', 'Give how much was consumed, in the metric''s unit.'),
        ('quantity_forbidden', 'UM002', 'quantity', 'a unique metric takes no quantity', 'Give the member to count instead.'),
        ('quantity_not_a_number', '22023', 'quantity', 'quantity is not a number', 'Give a decimal number such as 12 or 0.5.'),
        ('quantity_not_finite', '22023', 'quantity', 'quantity is not finite', 'Give a decimal number, not NaN or Infinity.'),
        ('quantity_negative', '22023', 'quantity', 'quantity is negative',
            'Only last, min, max and avg take negative quantities.'),
        ('quantity_large', '22023', 'quantity', 'quantity has more than 100 digits before or after the decimal point',
            'Use a larger or smaller unit, or round.'),
        ('member_null', '22004', 'member', 'member is null', 'Give the identifier that the unique metric counts.'),
        ('member_forbidden', 'UM002', 'member', 'only a unique metric takes a member', 'Give a quantity; put identifiers into metadata.'),
        ('member_blank', '22023', 'member', 'member is blank', 'Give the identifier that the unique metric counts.'),
        ('member_long', '22023', 'member', 'member is longer than 512 characters', 'Use a shorter identifier, or a digest of it.'),
        ('key_blank', '22023', 'idempotency_key', 'idempotency_key is blank', 'Give a key that is unique to the event, or null for none.'),
        ('key_long', '22023', 'idempotency_key', 'idempotency_key is longer than 512 characters', 'Use a shorter key, or a digest of it.'),
        ('at_not_a_time', '22023', 'at', 'at is not a time with a UTC offset', 'Write it as ISO 8601 with an offset, such as 2026-06-18T14:30:45Z.'),
        ('at_not_finite', '22023', 'at', 'at is not finite', 'Give the instant of the usage, or null for now.'),
        ('at_before_1970', '22023', 'at', 'at is before 1970', 'Give the instant of the usage; check its unit and time zone.'),
        ('at_in_future', '22023', 'at', 'at is too far in the future',
            'Check the clock and the time zone; how far is allowed is the metric''s max_future.'),
        ('metadata_not_object', '22023', 'metadata', 'metadata is not a JSON object', 'Give an object, such as {"model": "large"}.'),
        ('metadata_large', '22023', 'metadata', 'metadata is larger than 64 KiB', 'Keep large facts elsewhere and refer to them.')
$$;

comment on function _problems() is 'Every reason to refuse an event: its code, SQLSTATE, parameter, message and hint.';

-- The rules for an event, once: record() asks for one event, record_batch() for many. Inlined into both: no SET, nothing outside
-- pg_catalog. The first problem in this order is the one that is told.
-- Blank is ASCII white space. The vertical tab is written \x0b: before PostgreSQL 16, \v is the letter v.
create or replace function _event_problem(
    aggregate text, retired_at timestamptz, max_future interval,
    subject text, metric text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb
)
returns text
language sql
stable parallel safe
as $$
    select coalesce(case
        when subject is null then 'subject_null'
        when btrim(subject, E' \t\n\r\f\x0b') = '' then 'subject_blank'
        when length(subject) > 512 then 'subject_long'
        when metric is null then 'metric_null'
        when aggregate is null then 'metric_unknown'
        when retired_at is not null then 'metric_retired'
        when octet_length(subject) + octet_length(metric) > 2600 then 'names_long'
        when aggregate = 'unique' then case
            when quantity is not null then 'quantity_forbidden'
            when member is null then 'member_null'
            when btrim(member, E' \t\n\r\f\x0b') = '' then 'member_blank'
            when length(member) > 512 then 'member_long'
        end
        when member is not null then 'member_forbidden'
        when quantity is null then case when aggregate <> 'count' then 'quantity_null' end
        when quantity in ('NaN', 'Infinity', '-Infinity') then 'quantity_not_finite'
        when quantity < 0 and aggregate in ('sum', 'count') then 'quantity_negative'
        when abs(quantity) >= 1e100 or scale(trim_scale(quantity)) > 100 then 'quantity_large'
    end, case
        when btrim(idempotency_key, E' \t\n\r\f\x0b') = '' then 'key_blank'
        when length(idempotency_key) > 512 then 'key_long'
        when not isfinite(at) then 'at_not_finite'
        when at < timestamptz '1970-01-01 00:00:00+00' then 'at_before_1970'
        when at > (now() at time zone interval '0' + max_future) at time zone interval '0' then 'at_in_future'
        when metadata is null then null
        when jsonb_typeof(metadata) <> 'object' then 'metadata_not_object'
        when octet_length(metadata::text) > 65536 then 'metadata_large'
    end)
$$;

comment on function _event_problem(text, timestamptz, interval, text, text, numeric, text, text, timestamptz, jsonb) is
    'The code (see _problems()) of the first rule that an event breaks, given its metric''s aggregate, retired_at and max_future; '
    'null if it breaks none. `at` must not be null.';

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
