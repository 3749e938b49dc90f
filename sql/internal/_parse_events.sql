-- The form of a batch, event by event; what the values mean is for _event_problem(). Nothing in here raises.
create or replace function _parse_events(events jsonb)
returns setof batch_event
language sql
stable
set search_path from current
as $$
    select e.ordinal, v.subject, v.metric, q.quantity, v.member, v.idempotency_key,
           case when v.at is null then now() else _parse_time(v.at) end,
           nullif(e.event -> 'metadata', 'null'),
           case
               when jsonb_typeof(e.event) <> 'object' then 'not_an_object'
               when u.unknown is not null then 'unknown_field'
               when t.wrong is not null then 'wrong_type'
               when q.quantity is null and v.quantity is not null then 'quantity_not_a_number'
               when v.at is not null and _parse_time(v.at) is null then 'at_not_a_time'
           end,
           case
               when coalesce(u.unknown, t.wrong) is not null then format('field %I', left(coalesce(u.unknown, t.wrong), 80))
               when q.quantity is null and v.quantity is not null then format('quantity %L', left(v.quantity, 80))
               when v.at is not null and _parse_time(v.at) is null then format('at %L', left(v.at, 80))
           end,
           null::bigint, null::text, null::text, null::text, null::boolean, null::bytea, null::bytea
    from jsonb_array_elements(events) with ordinality as e (event, ordinal)
    cross join lateral (select case when jsonb_typeof(e.event) = 'object' then e.event else '{}' end) as o (event)
    cross join lateral (
        select o.event ->> 'subject', o.event ->> 'metric', o.event ->> 'quantity', o.event ->> 'member',
               o.event ->> 'idempotency_key', o.event ->> 'at'
    ) as v (subject, metric, quantity, member, idempotency_key, at)
    -- 200 digits and an exponent of 3 are more than any quantity may have, and little enough to cast safely.
    cross join lateral (
        select trim_scale(case
            when jsonb_typeof(o.event -> 'quantity') = 'number'
                or v.quantity ~ '^[+-]?([0-9]{1,200}([.][0-9]{0,200})?|[.][0-9]{1,200})([eE][+-]?[0-9]{1,3})?$'
                or lower(v.quantity collate "C") in ('nan', 'infinity', '-infinity') then v.quantity::numeric
        end)
    ) as q (quantity)
    cross join lateral (
        select case when o.event - '{subject,metric,quantity,member,idempotency_key,at,metadata}'::text[] <> '{}' then (
            select min(field) from jsonb_object_keys(
                o.event - '{subject,metric,quantity,member,idempotency_key,at,metadata}'::text[]) as field)
        end
    ) as u (unknown)
    cross join lateral (
        select case
            when jsonb_typeof(o.event -> 'subject') not in ('string', 'null') then 'subject'
            when jsonb_typeof(o.event -> 'metric') not in ('string', 'null') then 'metric'
            when jsonb_typeof(o.event -> 'quantity') not in ('number', 'string', 'null') then 'quantity'
            when jsonb_typeof(o.event -> 'member') not in ('string', 'null') then 'member'
            when jsonb_typeof(o.event -> 'idempotency_key') not in ('string', 'null') then 'idempotency_key'
            when jsonb_typeof(o.event -> 'at') not in ('string', 'null') then 'at'
        end
    ) as t (wrong)
$$;

comment on function _parse_events(jsonb) is
    'The events of a JSON array as rows, in their order, each with the code of its problem if its form is wrong.';
