-- Every rule for an event, with its condition, SQLSTATE, column, message and hint. The first broken rule is the one that is reported.
-- A condition that is null is not broken. `at` must not be null.
create or replace function _event_rules(
    form_problem text, aggregate text, retired_at timestamptz, max_future interval,
    subject text, metric text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb
)
returns table (is_broken boolean, code text, sqlstate text, parameter text, message text, hint text)
language plpgsql
stable
set search_path from current
as $$
begin
    return query values
        (form_problem = 'not_an_object', 'not_an_object', '22023', 'events', 'an event is not a JSON object',
            'Give each event as an object with the names of record()''s parameters.'),
        (form_problem = 'unknown_field', 'unknown_field', '22023', 'events', 'an event has an unknown field',
            'The fields are subject, metric, quantity, member, idempotency_key, at and metadata. Put your own fields into metadata.'),
        (form_problem = 'wrong_type', 'wrong_type', '22023', 'events', 'a field of an event has the wrong JSON type',
            'Texts and at are strings, quantity is a number or a numeric string, metadata is an object.'),
        (form_problem = 'quantity_not_a_number', 'quantity_not_a_number', '22023', 'quantity', 'quantity is not a number',
            'Give a decimal number such as 12 or 0.5.'),
        (form_problem = 'at_not_a_time', 'at_not_a_time', '22023', 'at', 'at is not a time with a UTC offset',
            'Use ISO 8601 with an offset, such as 2026-06-18T14:30:45Z.'),
        (form_problem = 'period_closed', 'period_closed', 'UM004', 'at', 'the period is closed for the subject',
            'The metric refuses late usage: record it at a later time, or define the metric with after_close => ''accept''.'),
        (subject is null, 'subject_null', '22004', 'subject', 'subject is null', 'Name who consumed: an account, a user, an API key.'),
        (_is_blank(subject), 'subject_blank', '22023', 'subject', 'subject is blank', 'Name who consumed: an account, a user, an API key.'),
        (length(subject) > 512, 'subject_long', '22023', 'subject', 'subject is longer than 512 characters',
            'Use a shorter identifier, or a digest of it.'),
        (metric is null, 'metric_null', '22004', 'metric', 'metric is null', 'Name a metric of catalog().'),
        (aggregate is null, 'metric_unknown', 'UM001', 'metric', 'unknown metric',
            format('Define it first: SELECT %I.define_metric(key, aggregate, unit), or: pymeter define KEY AGGREGATE UNIT.',
                current_schema())),
        (retired_at is not null, 'metric_retired', 'UM002', 'metric', 'the metric is retired',
            'Record to the metric that replaces it, or define it again to bring it back into use.'),
        (octet_length(subject) + octet_length(metric) > 2600, 'names_long', '22023', 'subject',
            'subject and metric together are longer than 2600 bytes', 'Use shorter identifiers: together they must fit into an index entry.'),
        (aggregate = 'unique' and quantity is not null, 'quantity_forbidden', 'UM002', 'quantity', 'a unique metric takes no quantity',
            'Give the member to count instead.'),
        (aggregate = 'unique' and member is null, 'member_null', '22004', 'member', 'member is null',
            'Give the identifier that the unique metric counts.'),
        (_is_blank(member) and aggregate = 'unique', 'member_blank', '22023', 'member', 'member is blank',
            'Give the identifier that the unique metric counts.'),
        (length(member) > 512 and aggregate = 'unique', 'member_long', '22023', 'member', 'member is longer than 512 characters',
            'Use a shorter identifier, or a digest of it.'),
        (aggregate <> 'unique' and member is not null, 'member_forbidden', 'UM002', 'member', 'only a unique metric takes a member',
            'Give a quantity. Put identifiers into metadata.'),
        (aggregate not in ('unique', 'count') and quantity is null, 'quantity_null', '22004', 'quantity', 'quantity is null',
            'Give how much was consumed, in the metric''s unit.'),
        (quantity in ('NaN', 'Infinity', '-Infinity'), 'quantity_not_finite', '22023', 'quantity', 'quantity is not finite',
            'Give a decimal number, not NaN or Infinity.'),
        (quantity < 0 and aggregate in ('sum', 'count'), 'quantity_negative', '22023', 'quantity', 'quantity is negative',
            'Only last, min, max and avg take negative quantities.'),
        (abs(quantity) >= 1e100 or scale(trim_scale(quantity)) > 100, 'quantity_large', '22023', 'quantity',
            'quantity has more than 100 digits before or after the decimal point', 'Use a larger or smaller unit, or round.'),
        (_is_blank(idempotency_key), 'key_blank', '22023', 'idempotency_key', 'idempotency_key is blank',
            'Give a key that is unique to the event, or null for none.'),
        (length(idempotency_key) > 512, 'key_long', '22023', 'idempotency_key', 'idempotency_key is longer than 512 characters',
            'Use a shorter key, or a digest of it.'),
        (not isfinite(at), 'at_not_finite', '22023', 'at', 'at is not finite', 'Give the instant of the usage, or null for now.'),
        (at < timestamptz '1970-01-01 00:00:00+00', 'at_before_1970', '22023', 'at', 'at is before 1970',
            'Give the instant of the usage; check its unit and time zone.'),
        (at > _shift(now(), max_future), 'at_in_future', '22023', 'at', 'at is too far in the future',
            'Check the clock and the time zone. The metric''s max_future is how far ahead an event may be.'),
        (jsonb_typeof(metadata) <> 'object', 'metadata_not_object', '22023', 'metadata', 'metadata is not a JSON object',
            'Give an object, such as {"model": "large"}.'),
        (octet_length(metadata::text) > 65536, 'metadata_large', '22023', 'metadata', 'metadata is larger than 64 KiB',
            'Store large data elsewhere and refer to it.');
end
$$;

comment on function _event_rules(text, text, timestamptz, interval, text, text, numeric, text, text, timestamptz, jsonb) is
    'Every rule for an event in order of precedence, and whether the event breaks it. form_problem: the code that _parse_events() found; '
    'aggregate, retired_at, max_future: of the metric, null if it is unknown.';

create or replace function _problems()
returns table (code text, sqlstate text, parameter text, message text, hint text)
language sql
stable
set search_path from current
as $$
    select code, sqlstate, parameter, message, hint
    from _event_rules(null, null, null, null, null, null, null, null, null, null, null)
$$;

comment on function _problems() is 'The list of rules for an event: code, SQLSTATE, parameter, message and hint of each.';

-- Accepts nearly every valid event at a fraction of the cost of _event_rules(), which decides about the others. PostgreSQL initialises every
-- function call of an expression in each transaction, so this has few. Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_plain_event(
    aggregate text, retired_at timestamptz,
    subject text, metric text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb
)
returns boolean
language sql
stable parallel safe
as $$
    select retired_at is null
        -- In collation C, a text that begins with white space is less than an exclamation mark.
        and subject >= '!' collate "C" and coalesce(idempotency_key, '!') >= '!' collate "C" and coalesce(member, '!') >= '!' collate "C"
        and octet_length(subject || metric || coalesce(idempotency_key, '') || coalesce(member, '')) <= 512
        and (aggregate <> 'unique' and member is null and quantity > -1e50 and quantity < 1e50 and scale(quantity) <= 50
                and (quantity >= 0 or aggregate not in ('sum', 'count'))
            or aggregate = 'unique' and member is not null and quantity is null)
        and at >= timestamptz '1970-01-01 00:00:00+00' and at <= now()
        and (metadata is null or jsonb_typeof(metadata) = 'object' and octet_length(metadata::text) <= 65536)
$$;

comment on function _is_plain_event(text, timestamptz, text, text, numeric, text, text, timestamptz, jsonb) is
    'True only for events that break no rule of _event_rules(), and for nearly all of these; null means false.';
