-- Late lines of one item have discount, maximum and minimum in one amount. A minimum is no reduction, so it is not spread. Neither is what a cell of
-- a matrix has of its own, because the lines do not say which cell it is of.
create or replace function _focus_lines(ids bigint[])
returns table (
    line statement_lines, kept numeric, price_unit text, meter_unit text, decimals integer, includes_tax boolean, is_priced boolean,
    is_spread boolean
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
    select l.line, (100 - coalesce((p.price ->> 'discount_percent')::numeric, 0)) * 0.01, _focus_price_unit(l.line, p.price, m.unit), m.unit,
           scale((l.line).amount),
           (l.line).kind = 'tax' and jsonb_path_exists(
               l.basis, '$.taxes[*] ? (@.name == $name && @.inclusive == true)', jsonb_build_object('name', (l.line).item)),
           (l.line).unit_amount is not null and (l.line).kind in ('usage', 'fee', 'late'),
           (l.line).item is not null and (l.line).unit_amount is null and p.price is not null
               and not jsonb_path_exists(p.price, '$.cells.** ? (exists (@.discount_percent) || exists (@.maximum_amount))')
               and case (l.line).kind when 'discount' then true
                                      when 'late' then not jsonb_path_exists(p.price, '$.** ? (exists (@.minimum_amount))')
                                      else false end
    from (
        select s.line, t.basis,
               bool_and((s.line).amount is not null) over (partition by (s.line).statement_id, (s.line).currency) as is_known
        from unnest(ids) i
        cross join lateral (select t.basis from statements t where t.statement_id = i offset 0) t
        cross join lateral (
            select s as line from statement_lines s where s.statement_id = i and s.currency is not null and s.kind <> 'total' offset 0
        ) s
    ) l
    left join plan_prices p on p.price_id = (l.line).price_version
    left join metrics m on m.key = (l.line).metric
    where l.is_known;
end
$$;

comment on function _focus_lines(bigint[]) is
    'The lines of statements that are charges: those with a currency whose total is known. kept: what the discount of the price leaves, of 1. '
    'is_priced: it has a unit price. is_spread: a reduction of the priced lines of its segment.';

-- Block pricing: the unit of a package is what is in it. The specification allows only a whole number there.
create or replace function _focus_price_unit(line statement_lines, price jsonb, unit text)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select case
        when line.metric is null then 'Cycles'
        when line.unit is not null then line.unit
        when block.size = trunc(block.size) then trim_scale(block.size) || ' ' || unit
        else 'Units' end
    from (
        select nullif(coalesce((price ->> 'package_size')::numeric, 1) * coalesce((price #>> '{convert,divide_by}')::numeric, 1), 1) as size
    ) block
$$;

comment on function _focus_price_unit(statement_lines, jsonb, text) is
    'The unit that the quantity of a priced line is in. unit: that of the metric.';

-- All reductions of a segment are spread over its lines by their exact amounts, and rounded as running sums: so they add up.
create or replace function _focus_reduced(ids bigint[])
returns table (
    line statement_lines, kept numeric, price_unit text, meter_unit text, decimals integer, includes_tax boolean, is_priced boolean,
    billed numeric, reduction numeric
)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select r.line, r.kept, r.price_unit, r.meter_unit, r.decimals, r.includes_tax, r.is_priced,
           (r.line).amount + r.reduced - lag(r.reduced, 1, 0) over s, r.reduced - lag(r.reduced, 1, 0) over s
    from (
        select g.*, case when not g.is_priced or g.spread is null then 0
                         when g.priced = g.number then g.spread
                         else coalesce(round(_portion(g.spread, g.running, nullif(g.exact, 0)), g.decimals), 0) end as reduced
        from (
            select f.*, (f.line).exact_amount,
                   sum((f.line).amount) filter (where f.is_spread) over w as spread,
                   sum((f.line).exact_amount) filter (where f.is_priced) over w as exact,
                   sum((f.line).exact_amount) filter (where f.is_priced) over (w order by (f.line).line) as running,
                   count(*) filter (where f.is_priced) over w as priced,
                   count(*) filter (where f.is_priced) over (w order by (f.line).line) as number
            from _focus_lines(ids) f
            window w as (partition by (f.line).statement_id, (f.line).late_of, (f.line).plan, (f.line).item, (f.line).metric, (f.line).since,
                                      (f.line).until, (f.line).price_version)
        ) g
        where not g.is_spread or g.priced = 0
    ) r
    window s as (partition by (r.line).statement_id, (r.line).late_of, (r.line).plan, (r.line).item, (r.line).metric, (r.line).since,
                              (r.line).until, (r.line).price_version, r.is_priced order by (r.line).line);
end
$$;

comment on function _focus_reduced(bigint[]) is
    'The lines of _focus_lines(), with what discounts and maximums take off in the lines that they are of. billed: the amount after that; '
    'reduction: what was taken off, 0 or negative.';
