-- What was measured in a segment, shared by its lines as their quantities are: free units, rounding up to packages and the shares of a cycle are in
-- the quantities of the lines, but not in what was consumed. The quotients are those of running sums, so the parts add up exactly.
create or replace function _focus_consumption(ids bigint[])
returns table (statement_id bigint, line integer, consumed numeric)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select c.statement_id, c.line, c.consumed - lag(c.consumed, 1, 0) over (partition by c.statement_id, c.segment order by c.line)
    from (
        select l.statement_id, l.line, m.segment,
               case when sum(l.quantity) over w = 0 then m.quantity
                    else _portion(m.quantity, sum(l.quantity) over (w order by l.line), sum(l.quantity) over w) end as consumed
        from _focus_measured(ids) m
        cross join lateral (
            select l.*
            from statement_lines l
            where l.statement_id = m.statement_id and l.kind = 'usage' and l.price_version = m.price_version and l.since = m.since
              and l.until = m.until and l.plan = m.plan and l.item = m.item
            offset 0
        ) l
        window w as (partition by l.statement_id, m.segment)
    ) c;
end
$$;

comment on function _focus_consumption(bigint[]) is 'What each line of kind usage of statements, if it has a price, has of what was consumed.';

create or replace function _focus_measured(ids bigint[])
returns table (
    statement_id bigint, segment bigint, plan text, item text, price_version bigint, since timestamptz, until timestamptz, quantity numeric
)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select t.statement_id, s.n, s.value ->> 'plan', s.value ->> 'item', (s.value ->> 'price_version')::bigint, (s.value ->> 'since')::timestamptz,
           (s.value ->> 'until')::timestamptz, (t.basis #>> array['usage', (s.n - 1)::text, 'quantity'])::numeric
    from unnest(ids) i
    cross join lateral (select t.statement_id, t.basis from statements t where t.statement_id = i and t.basis is not null offset 0) t
    cross join lateral jsonb_array_elements(t.basis -> 'segments') with ordinality s (value, n)
    where s.value ->> 'item' is not null and s.value ->> 'metric' is not null;
end
$$;

comment on function _focus_measured(bigint[]) is
    'What the statements say was measured in each segment of an item with a metric.';
