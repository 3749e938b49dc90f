-- A minimum in the scenario replaces those of its plan in the catalog.
create or replace function _scenario_minimums(
    scenario jsonb, scope invoice_scope, currency text, lines invoice_segment[], billed billed_fee[]
)
returns setof invoice_minimum
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_given jsonb := _scenario_array(scenario, '$', 'minimums');
    v_entry jsonb;
    v_path  text;
    v_one   invoice_minimum;
    v_own   invoice_minimum[] := '{}';
    v_held  invoice_minimum[];
begin
    for v_n in 0 .. jsonb_array_length(v_given) - 1 loop
        v_entry := v_given -> v_n;
        v_path := format('$.minimums[%s]', v_n);
        perform _check_scenario_fields(v_entry, v_path, '{amount}', '{plan,since,until}');
        v_one.plan := coalesce(_scenario_text(v_entry, v_path, 'plan'), _scenario_plan(scenario));
        v_one.since := greatest(_scenario_time(v_entry, v_path, 'since'), scope.since);
        v_one.until := least(_scenario_time(v_entry, v_path, 'until'), scope.until);
        v_one.amount := _scenario_number(v_entry, v_path, 'amount');
        v_one.currency := _scenario_minimums.currency;
        if _scenario_time(v_entry, v_path, 'since') >= _scenario_time(v_entry, v_path, 'until') then
            perform _refuse_scenario(v_path || '.until', 'window', v_entry -> 'until');
        end if;
        v_own := v_own || v_one;
    end loop;
    v_held := array(select o from unnest(v_own) o where o.since < o.until) || array(
        select (c.plan, scope.since, scope.until, (m.m).amount, _scenario_minimums.currency, 0)::invoice_minimum
        from _catalog_plans(_price_entries(scenario), scenario) c
        cross join lateral (select _minimum_at(c.plan, c.at, 'infinity') as m offset 0) m
        where c.item is null and c.plan not in (select o.plan from unnest(v_own) o));
    return query
    select m.plan, m.since, m.until, m.amount, m.currency, coalesce(f.amount, 0)
    from _cycle_minimums(scope.cycles, v_held) m
    left join (
        select c.plan, sum(c.amount) as amount
        from _counted_fees(scope, _scenario_minimums.lines, _scenario_minimums.billed) c
        group by c.plan
    ) f on f.plan = m.plan;
end
$$;

comment on function _scenario_minimums(jsonb, invoice_scope, text, invoice_segment[], billed_fee[]) is
    'The minimums of a scenario, and of the plans that it takes from the catalog as a whole. billed: as in _due_minimums(). '
    'Raises 22023, UM007 for an unknown plan.';

-- In the order in which _credits_of() draws them.
create or replace function _scenario_credits(scenario jsonb, scope invoice_scope, currency text)
returns setof invoice_credit
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_given jsonb := _scenario_array(scenario, '$', 'credits');
    v_entry jsonb;
    v_path  text;
    v_one   credit;
    v_all   credit[] := '{}';
begin
    for v_n in 0 .. jsonb_array_length(v_given) - 1 loop
        v_entry := v_given -> v_n;
        v_path := format('$.credits[%s]', v_n);
        perform _check_scenario_fields(v_entry, v_path, '{amount}',
            '{credit_id,currency,remaining,source,priority,since,expires_at,reason}'), _scenario_text(v_entry, v_path, 'reason');
        v_one.credit_id := coalesce(_scenario_integer(v_entry, v_path, 'credit_id'), v_n + 1);
        v_one.currency := coalesce(_scenario_text(v_entry, v_path, 'currency'), _scenario_credits.currency);
        perform _check_scenario_currency(v_one.currency, v_path || '.currency');
        v_one.amount := _scenario_number(v_entry, v_path, 'amount');
        v_one.remaining := coalesce(_scenario_number(v_entry, v_path, 'remaining'), v_one.amount);
        v_one.source := coalesce(_scenario_word(v_entry, v_path, 'source', '{paid,promotional}'), 'paid');
        v_one.priority := coalesce(_scenario_integer(v_entry, v_path, 'priority', 1e9)::integer, 50);
        v_one.since := coalesce(_scenario_time(v_entry, v_path, 'since'), '-infinity');
        v_one.expires_at := _scenario_time(v_entry, v_path, 'expires_at');
        perform _check_scenario_money(v_one.amount, v_one.currency, v_path || '.amount'),
            _check_scenario_money(v_one.remaining, v_one.currency, v_path || '.remaining');
        if v_one.remaining > v_one.amount then
            perform _refuse_scenario(v_path || '.remaining', 'left', v_entry -> 'remaining');
        elsif exists (select from unnest(v_all) a where a.credit_id = v_one.credit_id) then
            perform _refuse_scenario(v_path || '.credit_id', 'twice', to_jsonb(v_one.credit_id));
        end if;
        v_all := v_all || v_one;
    end loop;
    return query
    select a.credit_id, a.currency, a.remaining, a.amount, a.source
    from unnest(v_all) a
    where a.remaining > 0 and _in_force(a.since, a.expires_at, scope.until)
    order by a.priority, a.expires_at, (a.source = 'promotional') desc, a.since, a.credit_id;
end
$$;

comment on function _scenario_credits(jsonb, invoice_scope, text) is
    'The credits of a scenario that may pay for its period, in the order in which they are drawn. Raises 22023.';
