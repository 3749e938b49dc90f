create or replace function _stripemeter_price(config jsonb, path text)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_model text := _scenario_word(config, path, 'model', '{tiered,graduated,volume,flat,unit,per_unit,package}');
    v_used  text[] := '{model,currency,minimumCharge,maximumCharge}'::text[] || case
        when v_model in ('tiered', 'graduated', 'volume') then '{tiers}'::text[]
        when v_model = 'package' then '{unitPrice,packageSize,packagePrice}' else '{unitPrice}' end;
    v_price jsonb;
    v_field text;
begin
    select f into v_field from jsonb_object_keys(jsonb_strip_nulls(config)) f where f <> all (v_used) order by f collate "C" limit 1;
    if v_field is not null then
        perform _refuse_scenario(path || '.' || v_field, 'unused');
    end if;
    v_price := case
        when v_model in ('tiered', 'graduated', 'volume') then jsonb_build_object(
            'model', case when v_model = 'volume' then 'volume' else 'graduated' end, 'tiers', _stripemeter_tiers(config, path),
            'flat_at_zero', false)
        when v_model = 'package' then jsonb_build_object(
            'model', 'package', 'package_size', coalesce(_scenario_number(config, path, 'packageSize'), 1), 'unit_amount', coalesce(
                _scenario_number(config, path, 'packagePrice'), _scenario_number(config, path, 'unitPrice')))
        else jsonb_build_object('model', 'unit', 'unit_amount', _scenario_number(config, path, 'unitPrice')) end;
    if v_price -> 'unit_amount' = 'null' then
        perform _refuse_scenario(path || case when v_model = 'package' then '.packagePrice' else '.unitPrice' end, 'missing');
    elsif config -> 'packagePrice' <> 'null' and _scenario_number(config, path, 'unitPrice') <> _scenario_number(config, path, 'packagePrice') then
        perform _refuse_scenario(path || '.unitPrice', 'twice', config -> 'unitPrice');
    elsif v_price -> 'package_size' = '0' then
        perform _refuse_scenario(path || '.packageSize', 'positive', config -> 'packageSize');
    elsif _scenario_number(config, path, 'maximumCharge') < _scenario_number(config, path, 'minimumCharge') then
        perform _refuse_scenario(path || '.maximumCharge', 'below', config -> 'maximumCharge');
    end if;
    return v_price || jsonb_strip_nulls(jsonb_build_object(
        'minimum_amount', _scenario_number(config, path, 'minimumCharge'), 'maximum_amount', _scenario_number(config, path, 'maximumCharge')));
end
$$;

comment on function _stripemeter_price(jsonb, text) is 'The price that a priceConfig describes. Raises 22023 with its path.';

create or replace function _stripemeter_tiers(config jsonb, path text)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_given jsonb := _scenario_array(config, path, 'tiers');
    v_last  integer := jsonb_array_length(v_given) - 1;
    v_tier  jsonb;
    v_path  text;
    v_up_to numeric;
    v_lower numeric := 0;
    v_tiers jsonb := '[]';
begin
    if v_last < 0 then
        perform _refuse_scenario(path || '.tiers', 'missing');
    end if;
    for v_n in 0 .. v_last loop
        v_tier := v_given -> v_n;
        v_path := format('%s.tiers[%s]', path, v_n);
        perform _check_scenario_fields(v_tier, v_path, '{unitPrice}', '{upTo,flatPrice}');
        v_up_to := _scenario_number(v_tier, v_path, 'upTo');
        if not v_tier ? 'upTo' then
            perform _refuse_scenario(v_path || '.upTo', 'missing');
        elsif v_n = v_last and v_up_to is not null then
            perform _refuse_scenario(v_path || '.upTo', 'last', v_tier -> 'upTo');
        elsif v_n < v_last and (v_up_to > v_lower) is not true then
            perform _refuse_scenario(v_path || '.upTo', 'ascending', v_tier -> 'upTo');
        end if;
        v_lower := v_up_to;
        v_tiers := v_tiers || jsonb_build_object(
            'up_to', v_up_to, 'unit_amount', _scenario_number(v_tier, v_path, 'unitPrice'),
            'flat_amount', coalesce(_scenario_number(v_tier, v_path, 'flatPrice'), 0));
    end loop;
    return v_tiers;
end
$$;

comment on function _stripemeter_tiers(jsonb, text) is 'The tiers of a price that a priceConfig describes. Raises 22023 with the path.';

-- The k-th line of a metric is that of its k-th item.
create or replace function _stripemeter_checks(scenario jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_expected jsonb := coalesce(nullif(scenario -> 'expected', 'null'), '{}');
    v_items    jsonb := _stripemeter_items(scenario -> 'inputs');
    v_line     jsonb;
    v_path     text;
    v_item     jsonb;
    v_seen     text[] := '{}';
    v_checks   jsonb;
begin
    perform _check_scenario_fields(v_expected, '$.expected', '{}', '{subtotal,tax,total,currency,lineItems}');
    v_checks := _sum_checks(v_expected, '{subtotal,tax,total}');
    for v_n in 0 .. jsonb_array_length(_scenario_array(v_expected, '$.expected', 'lineItems')) - 1 loop
        v_line := v_expected -> 'lineItems' -> v_n;
        v_path := format('$.expected.lineItems[%s]', v_n);
        perform _check_scenario_fields(v_line, v_path, '{metric}', '{quantity,unitPrice,subtotal,description}');
        v_seen := v_seen || _scenario_text(v_line, v_path, 'metric');
        v_item := (
            select i.value
            from jsonb_array_elements(v_items) with ordinality i (value, n)
            where i.value ->> 'metric' = v_line ->> 'metric'
            order by i.n
            offset cardinality(array_positions(v_seen, v_line ->> 'metric')) - 1
            limit 1);
        v_checks := v_checks || _stripemeter_line_checks(v_line, v_path, v_item);
    end loop;
    return v_checks;
end
$$;

comment on function _stripemeter_checks(jsonb) is 'The checks of the field expected of a .sim.json. Raises 22023.';

create or replace function _stripemeter_line_checks(line jsonb, path text, item jsonb)
returns jsonb
language sql
stable
set search_path from current
as $$
    select coalesce(jsonb_agg(jsonb_build_object('path', path || c.field, 'expected', c.expected) || c.rest order by c.field), '[]')
    from (select jsonb_build_object('item', item -> 'item', 'metric', item -> 'metric') as match) m
    cross join lateral (
        select '.metric', line -> 'metric', jsonb_build_object('found', item -> 'metric')
        where item is null
        union all
        select '.quantity', to_jsonb(_scenario_signed(line, path, 'quantity')), jsonb_build_object('found', item -> 'quantity')
        union all
        select '.unitPrice', to_jsonb(_scenario_signed(line, path, 'unitPrice')),
               case when item -> 'quantity' = '0' and item -> 'price' ? 'tiers' then '{"found": 0}'
                    else jsonb_build_object('measure', 'unit_amount', 'match', m.match, 'quantity', item -> 'quantity') end
        union all
        select '.subtotal', to_jsonb(_scenario_signed(line, path, 'subtotal')),
               jsonb_build_object('measure', 'amount', 'match', m.match)
    ) c (field, expected, rest)
    where c.expected is not null
$$;

comment on function _stripemeter_line_checks(jsonb, text, jsonb) is
    'The checks of one of the lineItems that are expected; item: what it is of; null: there is no such one. Raises 22023.';
