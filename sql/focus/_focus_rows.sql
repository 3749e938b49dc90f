-- A product of FOCUS has one unit price. So the flat amount of a tier is a row of its own, beside that of the units, unless there is nothing else.
-- The unit of a fee is a cycle, whatever its price converts the one unit to that it is computed of.
create or replace function _focus_parts(line statement_lines, amount numeric, decimals integer)
returns table (part integer, quantity numeric, unit_price numeric, billed numeric)
language sql
immutable parallel safe
set search_path from current
as $$
    select p.part, p.quantity, p.unit_price, p.billed
    from (
        select coalesce(line.flat_amount, 0) as flat, line.quantity * line.unit_amount as units,
               case when line.kind = 'fee' and abs(line.quantity * line.unit_amount - line.exact_amount) > 1e-12
                    then round(_portion(line.exact_amount, 1, line.quantity), 20) else line.unit_amount end as unit_price
    ) l
    cross join lateral (
        select case when l.flat = 0 then amount when l.units = 0 then 0
                    when l.units + l.flat = 0 then round(l.units, decimals)
                    else round(_portion(amount, l.units, l.units + l.flat), decimals) end as of_units
    ) s
    cross join lateral (
        values (1, line.quantity, l.unit_price, s.of_units), (2, sign(l.flat), abs(l.flat), amount - s.of_units)
    ) p (part, quantity, unit_price, billed)
    where case p.part when 1 then l.flat = 0 or l.units <> 0 else l.flat <> 0 end
$$;

comment on function _focus_parts(statement_lines, numeric, integer) is
    'The charges of a line with a price: of its units (part 1), and of its flat amount (part 2). amount: that of the line; '
    'billed: what each has of it.';

create or replace function _focus_rows(ids bigint[])
returns table (
    line statement_lines, part integer, quantity numeric, unit_price numeric, contracted_price numeric, price_unit text, consumed numeric,
    meter_unit text, list_cost numeric, contracted_cost numeric, billed numeric, reduction numeric, included_tax numeric
)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select r.line, r.part, r.quantity, r.unit_price, r.unit_price * r.kept,
           case when r.part = 2 then 'Count' when r.quantity is not null then r.price_unit end,
           r.consumed,
           case when r.consumed is not null then r.meter_unit end,
           case when (r.line).kind <> 'tax' then r.list_cost else round(_portion(sum(r.list_cost) filter (where (r.line).kind <> 'tax') over w,
               r.tax_rate, r.gross), r.decimals) end,
           case when (r.line).kind <> 'tax' then r.contracted_cost else round(_portion(sum(r.contracted_cost) filter (where (r.line).kind <> 'tax')
               over w, r.tax_rate, r.gross), r.decimals) end,
           r.billed, r.reduction, r.included_tax
    from (
        select f.line, f.kept, f.price_unit, f.meter_unit, f.decimals, f.reduction, p.part, p.quantity, p.unit_price, p.billed,
               case when f.is_priced then case (f.line).kind when 'late' then (f.line).exact_amount else p.quantity * p.unit_price end
                    else p.billed end as list_cost,
               case when f.is_priced then case (f.line).kind when 'late' then (f.line).exact_amount else p.quantity * p.unit_price end * f.kept
                    else p.billed end as contracted_cost,
               case (f.line).kind when 'usage' then case when row_number() over l = 1 then c.consumed else 0 end
                                  when 'late' then case when f.is_priced and (f.line).unit is not null then p.quantity end end as consumed,
               case when f.includes_tax
                    then round((f.line).quantity * (f.line).unit_amount, _currency_decimals((f.line).currency)) end as included_tax,
               case when f.includes_tax then 0 else (f.line).unit_amount end as tax_rate,
               1 + coalesce(sum((f.line).unit_amount) filter (where f.includes_tax) over s, 0) as gross
        from _focus_reduced(ids) f
        left join _focus_consumption(ids) c on c.statement_id = (f.line).statement_id and c.line = (f.line).line
        cross join lateral (
            select p.* from _focus_parts(f.line, f.billed, f.decimals) p where f.is_priced and (f.line).kind <> 'late'
            union all
            select 1, case when f.is_priced then (f.line).quantity end, case when f.is_priced then (f.line).unit_amount end, f.billed
            where not f.is_priced or (f.line).kind = 'late'
        ) p
        window l as (partition by (f.line).statement_id, (f.line).line order by p.part),
               s as (partition by (f.line).statement_id, (f.line).currency)
    ) r
    window w as (partition by (r.line).statement_id, (r.line).currency);
end
$$;

comment on function _focus_rows(bigint[]) is
    'The charges of statements, in numbers. A tax is computed anew of what the other charges cost by list, and by contract, as that of the statement '
    'is of the amounts.';
