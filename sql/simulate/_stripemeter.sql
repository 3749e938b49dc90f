-- The .sim.json of StripeMeter, translated. All is checked here, so that errors have the paths of the document.
create or replace function _stripemeter_scenario(scenario jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_inputs jsonb := scenario -> 'inputs';
    v_items  jsonb;
    v_result jsonb;
    v_rate   numeric;
begin
    perform _check_scenario_fields(scenario, '$', '{inputs}', '{metadata,model,expected,tolerances}');
    perform _check_scenario_fields(v_inputs, '$.inputs', '{periodStart,periodEnd,usageItems}', '{customerId,commitments,credits,taxRate}'),
        _scenario_text(v_inputs, '$.inputs', 'customerId');
    if jsonb_typeof(scenario -> 'metadata') not in ('object', 'null') then
        perform _refuse_scenario('$.metadata', 'object', scenario -> 'metadata');
    end if;
    if _scenario_time(v_inputs, '$.inputs', 'periodStart') >= _scenario_time(v_inputs, '$.inputs', 'periodEnd') then
        perform _refuse_scenario('$.inputs.periodEnd', 'window', v_inputs -> 'periodEnd');
    end if;
    v_items := _stripemeter_items(v_inputs);
    v_result := jsonb_build_object(
        'name', to_jsonb(_scenario_text(scenario -> 'metadata', '$.metadata', 'name')), 'since', v_inputs -> 'periodStart',
        'until', v_inputs -> 'periodEnd', 'currency', coalesce(v_items #> '{0,currency}', '"USD"'),
        'prices', (select coalesce(jsonb_agg(i - '{quantity,path}'::text[]), '[]') from jsonb_array_elements(v_items) i),
        'usage', (select coalesce(jsonb_agg(i - '{path,price,currency}'::text[]), '[]') from jsonb_array_elements(v_items) i),
        'credits', _stripemeter_credits(v_inputs, coalesce(v_items #>> '{0,currency}', 'USD')),
        'tolerances', scenario -> 'tolerances');
    v_rate := _scenario_number(v_inputs, '$.inputs', 'taxRate');
    if v_rate > 1000 or scale(trim_scale(v_rate)) > 20 then
        perform _refuse_scenario('$.inputs.taxRate', 'percent', v_inputs -> 'taxRate');
    elsif v_rate > 0 then
        v_result := v_result || jsonb_build_object('taxes', jsonb_build_array(jsonb_build_object('percent', v_rate)));
    end if;
    return v_result;
end
$$;

comment on function _stripemeter_scenario(jsonb) is
    'The scenario that a .sim.json of StripeMeter describes: tiered is graduated, flat is unit, commitments are credits that are drawn first. Raises '
    '22023 with the paths of the document.';

-- A metric may be there several times, with several prices: the items then have numbers.
create or replace function _stripemeter_items(inputs jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_given    jsonb := _scenario_array(inputs, '$.inputs', 'usageItems');
    v_item     jsonb;
    v_path     text;
    v_metric   text;
    v_currency text;
    v_items    jsonb[] := '{}';
begin
    for v_n in 0 .. jsonb_array_length(v_given) - 1 loop
        v_item := v_given -> v_n;
        v_path := format('$.inputs.usageItems[%s]', v_n);
        perform _check_scenario_fields(v_item, v_path, '{metric,quantity,priceConfig}', '{}');
        perform _check_scenario_fields(v_item -> 'priceConfig', v_path || '.priceConfig', '{model,currency}',
            '{tiers,unitPrice,packageSize,packagePrice,minimumCharge,maximumCharge}');
        v_metric := _scenario_text(v_item, v_path, 'metric');
        v_currency := _scenario_text(v_item -> 'priceConfig', v_path || '.priceConfig', 'currency');
        perform _check_scenario_currency(v_currency, v_path || '.priceConfig.currency');
        if v_currency <> v_items[1] ->> 'currency' then
            perform _refuse_scenario(v_path || '.priceConfig.currency', 'currency', to_jsonb(v_currency));
        end if;
        v_items := v_items || jsonb_build_object(
            'path', v_path, 'metric', v_metric, 'currency', v_currency, 'quantity', _scenario_number(v_item, v_path, 'quantity'),
            'price', _stripemeter_price(v_item -> 'priceConfig', v_path || '.priceConfig'));
    end loop;
    return (
        select coalesce(jsonb_agg(
            i.item || jsonb_build_object('item', (i.item ->> 'metric') || case
                when i.times > 1 then format(' (%s of %s)', i.number, i.times) else '' end) order by i.n), '[]')
        from (
            select u.item, u.n, count(*) over (partition by u.item ->> 'metric') as times,
                   row_number() over (partition by u.item ->> 'metric' order by u.n) as number
            from unnest(v_items) with ordinality u (item, n)
        ) i);
end
$$;

comment on function _stripemeter_items(jsonb) is
    'The usageItems of a .sim.json, each with its path, metric, item, quantity, currency and translated price. Raises 22023.';

create or replace function _stripemeter_credits(inputs jsonb, currency text)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_from    timestamptz := _scenario_time(inputs, '$.inputs', 'periodStart');
    v_to      timestamptz := _scenario_time(inputs, '$.inputs', 'periodEnd');
    v_given   jsonb := _scenario_array(inputs, '$.inputs', 'commitments') || _scenario_array(inputs, '$.inputs', 'credits');
    v_first   integer := jsonb_array_length(_scenario_array(inputs, '$.inputs', 'commitments'));
    v_one     jsonb;
    v_path    text;
    v_amount  numeric;
    v_applied numeric;
    v_credits jsonb := '[]';
begin
    for v_n in 0 .. jsonb_array_length(v_given) - 1 loop
        v_one := v_given -> v_n;
        v_path := case when v_n < v_first then format('$.inputs.commitments[%s]', v_n) else format('$.inputs.credits[%s]', v_n - v_first) end;
        if v_n < v_first then
            perform _check_scenario_fields(v_one, v_path, '{amount,startDate,endDate}', '{applied}');
        else
            perform _check_scenario_fields(v_one, v_path, '{amount}', '{reason,expiresAt}'), _scenario_text(v_one, v_path, 'reason');
        end if;
        v_amount := _scenario_number(v_one, v_path, 'amount');
        v_applied := coalesce(_scenario_number(v_one, v_path, 'applied'), 0);
        perform _check_scenario_money(v_amount, currency, v_path || '.amount'), _check_scenario_money(v_applied, currency, v_path || '.applied');
        if v_applied > v_amount then
            perform _refuse_scenario(v_path || '.applied', 'left', v_one -> 'applied');
        end if;
        if (_scenario_time(v_one, v_path, 'startDate') > v_to or _scenario_time(v_one, v_path, 'endDate') < v_from) is not true then
            v_credits := v_credits || jsonb_build_object(
                'credit_id', v_n + 1, 'amount', v_amount, 'remaining', v_amount - v_applied, 'priority', case when v_n < v_first then 0 else 50 end,
                'expires_at', v_one -> 'expiresAt');
            perform _scenario_time(v_one, v_path, 'expiresAt');
        end if;
    end loop;
    return v_credits;
end
$$;

comment on function _stripemeter_credits(jsonb, text) is
    'The commitments of a .sim.json that are in force in its period, less what was applied of them, and its credits. Raises 22023.';
