-- Largest remainder: where rounded lines do not add up, those change by one unit that were rounded the most in the other direction.
create or replace function _rounded_lines(lines invoice_line[], by_line boolean)
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    with rounded as (
        select l.*, d.decimals, round(l.exact_amount, d.decimals) as nearest
        from unnest(lines) with ordinality l (item, metric, kind, since, until, quantity, unit, unit_amount, exact_amount, amount, currency,
            price_version, explanation, plan, tier, flat_amount, event_count, name, late_of, position)
        left join (
            select c.currency, _currency_decimals(c.currency) as decimals
            from (select distinct l.currency from unnest(lines) l where l.currency is not null) c
        ) d on d.currency = l.currency
    ), missing as (
        select r.*, case when bool_and(r.exact_amount is not null) over w and not by_line
            then (round(sum(r.exact_amount) over w, r.decimals) - sum(r.nearest) over w) * ('1e' || r.decimals)::numeric else 0 end as units
        from rounded r
        window w as (partition by r.currency)
    ), ranked as (
        select m.*, row_number() over (
                   partition by m.currency order by (m.exact_amount - m.nearest) * sign(m.units) desc nulls last, m.position) as rank
        from missing m
    )
    select r.item, r.metric, r.kind, r.since, r.until, trim_scale(r.quantity), r.unit, r.unit_amount,
           trim_scale(r.exact_amount),
           r.nearest + case when r.rank <= abs(r.units) then sign(r.units) * ('1e-' || r.decimals)::numeric else 0 end,
           r.currency, r.price_version, r.explanation, r.plan, r.tier, r.flat_amount, r.event_count, r.name, r.late_of
    from ranked r
    order by r.kind = 'late', case when r.kind = 'late' then r.late_of end, r.plan nulls last, r.item nulls last,
             case when r.item is null then r.metric end, r.since, r.position;
end
$$;

comment on function _rounded_lines(invoice_line[], boolean) is
    'The lines in their order, with rounded amounts: half away from zero, to the decimals of the currency, and so that those of a currency sum to '
    'its rounded sum; by_line: each for itself.';

create or replace function _total_lines(basis invoice_basis, lines invoice_line[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select null::text, null::text, 'total', (basis.scope).since, (basis.scope).until, null::numeric, null::text, null::numeric,
           case when t.is_known then trim_scale(t.exact_amount) end,
           case when t.is_known then round(t.amount, _currency_decimals(t.currency)) end, t.currency,
           null::bigint, case when not t.is_known then 'unknown: a line has no amount' when t.lines = 1 then 'sum of 1 line'
               else format('sum of %s lines', t.lines) end,
           null::text, null::integer, null::numeric, null::bigint, null::text, null::bigint
    from (
        select c.currency, count(l.kind) as lines, coalesce(sum(l.exact_amount), 0) as exact_amount, coalesce(sum(l.amount), 0) as amount,
               count(l.kind) = count(l.exact_amount) as is_known
        from (select l.currency from unnest(lines) l where l.currency is not null union select unnest(basis.currencies)) c
        left join unnest(lines) l on l.currency = c.currency
        group by 1
    ) t
    order by t.currency;
end
$$;

comment on function _total_lines(invoice_basis, invoice_line[]) is
    'The total of each currency of the lines, and of the subject''s plans with a price; its amounts are null if an amount is unknown.';
