-- The invoice of a scenario is computed by what computes invoices and statements: only the basis is another one.
create or replace function _scenario_invoice(scenario jsonb)
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope    invoice_scope := _scenario_scope(scenario);
    v_currency text := _scenario_currency(scenario);
    v_lines    invoice_segment[];
    v_entries  jsonb;
    v_metrics  metrics[];
    v_billed   billed_fee[];
    v_basis    invoice_basis;
begin
    if (v_scope.next_cycle).until >= timestamptz '9999-12-31 00:00:00+00' then
        perform _refuse_scenario('$.until', 'late', scenario -> 'until');
    end if;
    v_lines := array(select l from _scenario_lines(scenario, v_scope, v_currency) l);
    v_entries := _usage_entries(scenario, v_scope);
    v_metrics := _scenario_metrics(v_entries, v_lines, exists (select from _catalog_plans(_price_entries(scenario), scenario)));
    v_basis.scope := v_scope;
    v_basis.segments := array(
        select s from _usage_segments(v_scope, v_lines, array(select e ->> 'metric' from jsonb_array_elements(v_entries) e group by 1)) s);
    perform _check_scenario_usage(v_entries, v_basis.segments, v_metrics);
    v_basis.usage := array(select u from _scenario_quantities(v_entries, v_basis.segments, v_metrics) u);
    v_billed := array(select b from _scenario_billed(scenario, v_scope, v_lines) b);
    v_basis.fees := array(select l from _fee_lines(v_scope, v_lines, v_billed) l);
    v_basis.minimums := array(select m from _scenario_minimums(scenario, v_scope, v_currency, v_lines, v_billed) m);
    v_basis.currencies := array[v_currency];
    v_basis.by_line := coalesce(_scenario_word(scenario, '$', 'rounding', '{total,line}'), _setting_value('rounding')) = 'line';
    v_basis.credits := array(select c from _scenario_credits(scenario, v_scope, v_currency) c);
    v_basis.draws := '{}';
    v_basis.taxes := array(select t from _scenario_taxes(scenario) t);
    return query select l.* from _priced_lines(v_basis, '{}', v_metrics) l;
end
$$;

comment on function _scenario_invoice(jsonb) is
    'The lines of the invoice of a scenario, in the shape that sql/simulate/README.md describes. Raises as simulate() does.';

create or replace function _simulation(scenario jsonb, checks jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lines  invoice_line[];
    v_total  invoice_line;
    v_sums   jsonb;
    v_checks jsonb;
begin
    perform _check_scenario_fields(scenario, '$', '{}', '{name,description,since,until,cycle,currency,rounding,prices,billed_in_advance,usage,'
        'minimums,credits,taxes,expected,tolerances}'), _scenario_text(scenario, '$', 'name');
    v_lines := array(select l from _scenario_invoice(scenario) l);
    v_total := v_lines[cardinality(v_lines)];
    v_sums := _scenario_sums(v_lines, v_total);
    v_checks := _compared(checks, v_sums, v_lines, scenario -> 'tolerances');
    return jsonb_build_object(
        'header', jsonb_build_object('name', scenario -> 'name', 'since', _utc_text(v_total.since), 'until', _utc_text(v_total.until)),
        'lines', (select coalesce(jsonb_agg(_line_document(v_lines[n]) order by n), '[]') from generate_series(1, cardinality(v_lines) - 1) n),
        'totals', jsonb_build_object(v_total.currency, jsonb_build_object(
            'exact_amount', trim_scale(v_total.exact_amount)::text, 'amount', v_total.amount::text)),
        'expected', v_checks,
        'passed', (select bool_and((c ->> 'passed')::boolean) from jsonb_array_elements(v_checks) c)) || v_sums;
end
$$;

comment on function _simulation(jsonb, jsonb) is
    'The document that simulate() returns. checks: what is expected, see _compared(). Raises as simulate() does.';

create or replace function _scenario_sums(lines invoice_line[], total invoice_line)
returns jsonb
language sql
stable
set search_path from current
as $$
    select jsonb_build_object(
        'currency', (total).currency, 'total', (total).amount::text,
        'subtotal', round(case when (total).amount is not null then coalesce(sum(l.amount) filter (where l.kind not in ('credit', 'tax', 'total')), 0)
                          end, d.decimals)::text,
        'credits', round(case when (total).amount is not null then coalesce(sum(l.amount) filter (where l.kind = 'credit'), 0) end, d.decimals)::text,
        'tax', round(case when (total).amount is not null then coalesce(sum(l.amount) filter (where l.kind = 'tax'), 0) end, d.decimals)::text)
    from unnest(lines) l
    cross join (select _currency_decimals((total).currency) as decimals) d
    where l.currency is not null
    group by d.decimals
$$;

comment on function _scenario_sums(invoice_line[], invoice_line) is
    'What lines sum to, as texts: subtotal + credits + tax = total. Null if an amount is unknown.';
