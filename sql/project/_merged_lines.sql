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
    select m.item, m.metric, m.kind, m.since, m.until, case when m.is_unknown then null else m.quantity end, m.unit, m.so_far,
           case when m.is_unknown then null else m.low end, case when m.is_unknown then null else m.expected end,
           case when m.is_unknown then null else m.high end, m.currency, o.method, o.reason,
           case when m.kind = 'total' then 'sum of the lines' when m.is_unknown and m.currency is not null then 'so far: ' || m.explanation
                else m.explanation end, m.plan, m.name
    from (
        select g.*, case
            when g.kind in ('late', 'fee') or g.metric is null and g.item is not null and g.kind not in ('credit', 'tax') then false
            when g.metric is not null then exists (select from unnest(outlooks) o where o.metric = g.metric and o.method = 'none')
                and g.until > _merged_lines.at
            when g.kind = 'true_up' then exists (select from unnest(v_unknown) u where u.plan = g.plan)
            else exists (select from unnest(v_unknown) u where u.currency = g.currency) end as is_unknown
        from (
            select (l.line).item, (l.line).metric, (l.line).kind, (l.line).since, (l.line).until, (l.line).unit, (l.line).currency,
                   (l.line).plan, (l.line).name,
                   trim_scale(sum((l.line).quantity) filter (where l.scenario = 2)) as quantity,
                   _scenario_amount(array_agg((l.line).amount) filter (where l.scenario = 0), bool_or((l.line).currency is null)) as so_far,
                   _scenario_amount(array_agg((l.line).amount) filter (where l.scenario = 1), bool_or((l.line).currency is null)) as low,
                   _scenario_amount(array_agg((l.line).amount) filter (where l.scenario = 2), bool_or((l.line).currency is null)) as expected,
                   _scenario_amount(array_agg((l.line).amount) filter (where l.scenario = 3), bool_or((l.line).currency is null)) as high,
                   coalesce(string_agg((l.line).explanation, '; ' order by l.n) filter (where l.scenario = 2),
                            'not at the expected usage') as explanation,
                   coalesce(min(l.n) filter (where l.scenario = 2), min(l.n)) as n
            from unnest(lines) l
            group by (l.line).item, (l.line).metric, (l.line).kind, (l.line).since, (l.line).until, (l.line).unit, (l.line).currency,
                     (l.line).plan, (l.line).name, (l.line).late_of, (l.line).price_version, (l.line).kind = 'fee' and (l.line).quantity is null
        ) g
    ) m
    left join unnest(outlooks) o on o.metric = m.metric and m.until > _merged_lines.at and m.kind <> 'late'
    order by m.kind = 'total', m.n, m.since, m.item collate "C", m.kind collate "C";
end
$$;

comment on function _merged_lines(invoice_basis, projected_line[], usage_outlook[], timestamptz) is
    'The lines of all scenarios side by side: one for each item, kind and time, all tiers together.';

create or replace function _scenario_amount(amounts numeric[], is_unpriced boolean)
returns numeric
language sql
immutable parallel safe
set search_path from current
as $$
    select case when not is_unpriced and array_position(amounts, null) is null then (select coalesce(sum(a), 0) from unnest(amounts) a) end
$$;

comment on function _scenario_amount(numeric[], boolean) is
    'The sum of the amounts of a line in one scenario; null if one is unknown; 0 if the scenario does not have the line.';
