create or replace function _scenario_billed(scenario jsonb, scope invoice_scope, lines invoice_segment[])
returns setof billed_fee
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    if _scenario_boolean(scenario, '$', 'billed_in_advance') is not true then
        return;
    end if;
    return query
    select l.plan, l.item, min(l.since), max(l.until), sum(l.exact_amount), l.currency, null::bigint, null::text, null::bigint, c.since, false
    from _full_fee_lines(scope, lines) l
    cross join lateral (select _cycle_of(scope, l.since) as since) c
    where l.since < scope.until
      and exists (
          select from unnest(lines) s
          where s.plan = l.plan and s.item = l.item and s.bill = 'advance' and s.since < l.until and s.until > l.since)
    group by l.plan, l.item, l.currency, c.since;
end
$$;

comment on function _scenario_billed(jsonb, invoice_scope, invoice_segment[]) is
    'What the invoice before has billed in advance of the fees of a scenario: with billed_in_advance, all that is due in advance for its cycles.';
