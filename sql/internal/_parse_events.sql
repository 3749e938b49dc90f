-- The form of a batch, event by event; what the values mean is for _event_problem(). Nothing in here raises. OFFSET 0 keeps the
-- levels apart: merged into one, every field would be looked up and parsed again wherever it is mentioned.
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
           null::bigint, null::text, null::text, null::text, null::boolean, null::bytea, null::bytea, null::text[]
    from (
        select f.*, _parse_time(f.given_at) as at,
               -- 200 digits and an exponent of 3 are more than any quantity may have, and little enough to cast safely.
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
    'The events of a JSON array as rows, in their order, each with the code of its problem if its form is wrong.';
