create or replace function _with_mix(
    combinations jsonb, mix jsonb, quantity numeric, event_count numeric, ahead numeric, ahead_events numeric
)
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    with mixed as (
        select e -> 'when' as conditions, (e ->> 'quantity')::numeric as part, sum((e ->> 'quantity')::numeric) over () as whole
        from jsonb_array_elements(mix) e
        where (e ->> 'quantity')::numeric > 0
    )
    select coalesce(jsonb_agg(jsonb_build_object(
        'when', c.conditions, 'quantity', c.quantity, 'billed', c.billed, 'event_count', c.events, 'billed_events', c.billed_events)
        order by c.conditions::text collate "C"), '[]')
    from (
        select p.conditions, sum(p.quantity) as quantity, sum(p.billed) as billed, sum(p.events) as events, sum(p.billed_events) as billed_events
        from (
            select e -> 'when' as conditions, (e ->> 'quantity')::numeric as quantity, (e ->> 'billed')::numeric as billed,
                   (e ->> 'event_count')::numeric as events, (e ->> 'billed_events')::numeric as billed_events
            from jsonb_array_elements(combinations) e
            union all
            select m.conditions, _part_of(_with_mix.quantity, m.part, m.whole), _part_of(ahead, m.part, m.whole),
                   round(_with_mix.event_count * m.part / m.whole), round(ahead_events * m.part / m.whole)
            from mixed m
        ) p
        group by 1
    ) c
$$;

comment on function _with_mix(jsonb, jsonb, numeric, numeric, numeric, numeric) is
    'The usage of combinations, and a quantity that is spread over them as mix is; ahead: a quantity of the segments before.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _part_of(quantity numeric, part numeric, whole numeric)
returns numeric
language sql
immutable parallel safe
as $$
    select round(quantity * part / whole, greatest(scale(quantity), 6))
$$;

comment on function _part_of(numeric, numeric, numeric) is 'A part of a quantity that is an estimate: to 6 decimals.';
