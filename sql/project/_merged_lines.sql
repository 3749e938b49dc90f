-- A line that one scenario has and another does not, such as a tier that is not reached, is 0 in that. Unknown is null.
create or replace function _merged_lines(basis invoice_basis, lines projected_line[], outlooks usage_outlook[], at timestamptz)
returns setof invoice_projection
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_unknown invoice_segment[] := array(
        select s
        from unnest(basis.segments) s
        join unnest(outlooks) o on o.metric = s.metric
        where s.until > _merged_lines.at and s.item is not null and o.method = 'none');
begin
    return query
    with grouped as (
        select (l.line).item, (l.line).metric, (l.line).kind, (l.line).since, (l.line).until, (l.line).unit, (l.line).currency,
               (l.line).plan, (l.line).name,
               trim_scale(sum((l.line).quantity) filter (where l.scenario = 2)) as quantity,
               _scenario_amounts(array_agg((l.scenario, null, l.line)::projected_line), false) as amounts,
               _scenario_amounts(array_agg((l.scenario, null, l.line)::projected_line), true) as exact_amounts,
               coalesce(string_agg((l.line).explanation, '; ' order by l.n) filter (where l.scenario = 2),
                        'not at the expected usage') as explanation,
               coalesce(min(l.n) filter (where l.scenario = 2), min(l.n)) as n,
               row_number() over (partition by (l.line).currency, (l.line).kind in ('credit', 'tax', 'total')) as place
        from unnest(lines) l
        group by (l.line).item, (l.line).metric, (l.line).kind, (l.line).since, (l.line).until, (l.line).unit, (l.line).currency,
                 (l.line).plan, (l.line).name, (l.line).late_of, (l.line).price_version, (l.line).kind = 'fee' and (l.line).quantity is null
    ), steady as (
        select g.currency, _steady_scenarios(array_agg(g.exact_amounts order by g.place), array_agg(g.amounts order by g.place),
                                             _currency_decimals(g.currency)) as amounts
        from grouped g
        where g.currency is not null and g.kind not in ('credit', 'tax', 'total') and not (basis).by_line
        group by g.currency
    )
    select m.item, m.metric, m.kind, m.since, m.until, case when m.is_unknown then null else m.quantity end, m.unit, m.amounts[1],
           case when m.is_unknown then null else m.amounts[2] end, case when m.is_unknown then null else m.amounts[3] end,
           case when m.is_unknown then null else m.amounts[4] end, m.currency, o.method, o.reason,
           case when m.kind = 'total' then 'sum of the lines' when m.is_unknown and m.currency is not null then 'so far: ' || m.explanation
                else m.explanation end, m.plan, m.name
    from (
        select g.item, g.metric, g.kind, g.since, g.until, g.unit, g.currency, g.plan, g.name, g.quantity, g.explanation, g.n,
               case when s.amounts is null then g.amounts
                    else array(select s.amounts[n * cardinality(s.amounts) / 4 + g.place] from generate_series(0, 3) n) end as amounts,
               case
            when g.kind in ('late', 'fee') or g.metric is null and g.item is not null and g.kind not in ('credit', 'tax') then false
            when g.metric is not null then exists (select from unnest(outlooks) o where o.metric = g.metric and o.method = 'none')
                and g.until > _merged_lines.at
            when g.kind = 'true_up' then exists (select from unnest(v_unknown) u where u.plan = g.plan)
            else exists (select from unnest(v_unknown) u where u.currency = g.currency) end as is_unknown
        from grouped g
        left join steady s on s.currency = g.currency and g.kind not in ('credit', 'tax', 'total')
    ) m
    left join unnest(outlooks) o on o.metric = m.metric and m.until > _merged_lines.at and m.kind <> 'late'
    order by m.kind = 'total', m.n, m.since, m.item collate "C", m.kind collate "C";
end
$$;

comment on function _merged_lines(invoice_basis, projected_line[], usage_outlook[], timestamptz) is
    'The lines of all scenarios side by side: one for each item, kind and time, all tiers together.';

create or replace function _scenario_amounts(lines projected_line[], are_exact boolean)
returns numeric[]
language sql
immutable parallel safe
set search_path from current
as $$
    select array_agg(r.amount order by r.scenario)
    from (
        select n.scenario, case
            when not bool_and(l.scenario is null or (l.line).currency is not null and (l.line).amount is not null) then null
            else coalesce(sum(case when are_exact then (l.line).exact_amount else (l.line).amount end), 0) end as amount
        from generate_series(0, 3) n (scenario)
        left join unnest(lines) l on l.scenario = n.scenario
        group by n.scenario
    ) r
$$;

comment on function _scenario_amounts(projected_line[], boolean) is
    'The sum of the amounts of a line in each scenario; null if one is unknown or has no price; 0 if the scenario does not have the line.';
