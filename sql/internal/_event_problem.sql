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
