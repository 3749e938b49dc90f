-- Everything an event can be refused for, once. _event_problem() decides, record() and record_batch() tell.
create or replace function _problems()
returns setof problem
language sql
immutable parallel safe
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
        ('metric_unknown', 'UM001', 'metric', 'unknown metric', 'Define it first: SELECT define_metric(key, aggregate, unit).'),
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
