create or replace function simulate(scenario jsonb)
returns jsonb
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    if _is_open('simulate') then perform _check_caller('simulate'); end if;
    if scenario is null then
        raise exception using errcode = '22004', message = 'scenario is null', column = 'scenario',
            hint = 'Pass a JSON object. sql/simulate/README.md lists the fields.';
    elsif jsonb_typeof(scenario) <> 'object' then
        perform _refuse_scenario('$', 'object', scenario);
    elsif scenario ? 'inputs' then
        return _simulation(_stripemeter_scenario(scenario), _stripemeter_checks(scenario));
    end if;
    return _simulation(scenario, _expected_checks(scenario -> 'expected'));
end
$$;

comment on function simulate(jsonb) is
    'Returns the invoice of a scenario: usage, prices, minimums, credits and taxes that stand in a JSON object. It is computed as invoices and '
    'statements are, and nothing is stored. Prices are objects as rate() takes them, or those of a plan of the catalog. The document has what '
    'invoice_json() has (header, lines, totals), currency, and subtotal + credits + tax = total; then expected: what the scenario expects, and '
    'passed: whether all of that was found (null: it expects nothing). The .sim.json of StripeMeter is read, too. All fields: '
    'sql/simulate/README.md. No subject''s data is read. Raises 22004 for a null, 22023 for an invalid scenario, with the JSON path in DETAIL; '
    'UM007 for an unknown plan. Example: SELECT d ->> ''total'' AS total, d ->> ''passed'' AS passed FROM meter.simulate(''{"prices": '
    '[{"metric": "tokens", "price": {"model": "unit", "unit_amount": "0.002", "currency": "EUR"}}], "usage": [{"metric": "tokens", "quantity": '
    '1500}], "expected": {"total": "3.00"}}'') d;';
