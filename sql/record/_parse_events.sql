create or replace function _check_events(events jsonb)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if events is null then
        raise exception using errcode = '22004', message = 'events is null', column = 'events',
            hint = 'Give a JSON array; it may be empty.';
    elsif jsonb_typeof(events) <> 'array' then
        raise exception using errcode = '22023', message = 'events is not a JSON array', column = 'events',
            detail = format('It is of type %s.', jsonb_typeof(events)),
            hint = 'Give an array of objects with the names of record()''s parameters.';
    end if;
end
$$;

comment on function _check_events(jsonb) is 'Raises 22004 for a null, 22023 for events that are not a JSON array.';

-- Checks only the form of each event; _event_rules() checks the values. Nothing in here raises an error. OFFSET 0 keeps the subqueries from
-- being merged into one, which would extract and parse a field again at every mention.
create or replace function _parse_events(events jsonb)
returns setof batch_event
language sql
stable
set search_path from current
as $$
    select p.ordinal, p.subject, p.metric, p.quantity, p.member, p.idempotency_key,
           case when p.given_at is null then now() else p.at end, p.metadata,
           case
               when not p.is_object then 'not_an_object'
               when p.unknown <> '{}' then 'unknown_field'
               when p.wrong is not null then 'wrong_type'
               when p.quantity is null and p.given_quantity is not null then 'quantity_not_a_number'
               when p.at is null and p.given_at is not null then 'at_not_a_time'
           end,
           case
               when p.unknown <> '{}' then format('field %I', left((select min(f) from jsonb_object_keys(p.unknown) f), 80))
               when p.wrong is not null then format('field %I', p.wrong)
               when p.quantity is null and p.given_quantity is not null then format('quantity %L', left(p.given_quantity, 80))
               when p.at is null and p.given_at is not null then format('at %L', left(p.given_at, 80))
           end,
           null::bigint, null::uuid
    from (
        select f.*, _parse_time(f.given_at) as at,
               -- 200 digits and a 3-digit exponent exceed every allowed quantity, and the cast of such a text cannot fail.
               trim_scale(case
                   when f.quantity_type = 'number'
                       or f.given_quantity ~ '^[+-]?([0-9]{1,200}([.][0-9]{0,200})?|[.][0-9]{1,200})([eE][+-]?[0-9]{1,3})?$'
                       or lower(f.given_quantity collate "C") in ('nan', 'infinity', '-infinity') then f.given_quantity::numeric
               end) as quantity,
               case
                   when jsonb_typeof(f.event -> 'subject') not in ('string', 'null') then 'subject'
                   when jsonb_typeof(f.event -> 'metric') not in ('string', 'null') then 'metric'
                   when f.quantity_type not in ('number', 'string', 'null') then 'quantity'
                   when jsonb_typeof(f.event -> 'member') not in ('string', 'null') then 'member'
                   when jsonb_typeof(f.event -> 'idempotency_key') not in ('string', 'null') then 'idempotency_key'
                   when jsonb_typeof(f.event -> 'at') not in ('string', 'null') then 'at'
               end as wrong
        from (
            select o.*, o.event ->> 'subject' as subject, o.event ->> 'metric' as metric, o.event ->> 'member' as member,
                   o.event ->> 'idempotency_key' as idempotency_key, nullif(o.event -> 'metadata', 'null') as metadata,
                   o.event ->> 'at' as given_at, o.event ->> 'quantity' as given_quantity,
                   jsonb_typeof(o.event -> 'quantity') as quantity_type,
                   o.event - '{subject,metric,quantity,member,idempotency_key,at,metadata}'::text[] as unknown
            from (
                select e.ordinal, jsonb_typeof(e.event) = 'object' as is_object,
                       case when jsonb_typeof(e.event) = 'object' then e.event else '{}' end as event
                from jsonb_array_elements(events) with ordinality as e (event, ordinal)
                offset 0
            ) o
            offset 0
        ) f
        offset 0
    ) p
$$;

comment on function _parse_events(jsonb) is
    'The events of a JSON array as rows, in input order; an event of the wrong form has the code of that problem.';

-- A cast raises an error for a bad text, and reads a time without an offset in the session's time zone. So the form is checked first, down
-- to the number of days in the month; after that the cast cannot fail.
-- A cast also rounds digits beyond microseconds, possibly into the next month. So they are truncated first. A second of 60 is a leap second
-- (RFC 3339, section 5.6): the same instant as the second after it, as in all of PostgreSQL.
-- Patterns here and elsewhere have no backslashes, whose meaning depends on the session's standard_conforming_strings, and no digit
-- classes, which match digits of every script. Groups do not capture and the year 0 has a test of its own, because captures and look-ahead
-- more than double the cost of the match. Inlined: no SET, nothing outside pg_catalog.
-- Programs nearly always write a UTC time, and most days are among the first 28 of a month. The first branch recognises that by its shape,
-- at a quarter of the cost of the pattern.
create or replace function _parse_time(value text)
returns timestamptz
language sql
stable parallel safe
as $$
    select case
        when translate(replace(value, '+00:00', 'Z'), '123456789', '000000000')
                in ('0000-00-00T00:00:00Z', '0000-00-00T00:00:00.000Z', '0000-00-00T00:00:00.000000Z')
            and value > '0001' collate "C"
            and substr(value, 6, 2) between '01' and '12' collate "C" and substr(value, 9, 2) between '01' and '28' collate "C"
            and substr(value, 12, 2) < '24' collate "C" and substr(value, 15, 2) < '60' collate "C" and substr(value, 18, 2) < '60' collate "C"
            then value::timestamptz
        when value ~ ('^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]'
                '(?::(?:[0-5][0-9](?:[.,][0-9]+)?|60(?:[.,]0+)?))? ?(?:[Zz]|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)$')
            and value not like '0000%' then case
                when substr(value, 9, 2)::int <= 28 or substr(value, 9, 2)::int <= extract(day from
                    make_date(substr(value, 1, 4)::int, substr(value, 6, 2)::int, 1) + interval '1 month' - interval '1 day')
                    then (case
                        when substr(value, 20, 1) in ('.', ',') then
                            substr(value, 1, 19) || '.' || substring(substr(value, 21) from '^[0-9]{1,6}')
                                || ltrim(substr(value, 21), '0123456789')
                        else value
                    end)::timestamptz
            end
        when lower(value collate "C") in ('infinity', '-infinity') then value::timestamptz
    end
$$;

comment on function _parse_time(text) is
    'Parses an ISO 8601 text with a UTC offset, truncated (never rounded) to microseconds; infinity and -infinity as such; null for any '
    'other text.';
