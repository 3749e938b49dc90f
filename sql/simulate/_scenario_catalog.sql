-- prices is an array, or its only element.
create or replace function _price_entries(scenario jsonb)
returns jsonb
language sql
immutable
set search_path from current
as $$
    select case when jsonb_typeof(scenario -> 'prices') = 'object' then jsonb_build_array(scenario -> 'prices')
                else _scenario_array(scenario, '$', 'prices') end
$$;

comment on function _price_entries(jsonb) is 'The prices of a scenario, as an array. Raises 22023.';

create or replace function _price_path(scenario jsonb, n integer)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select case when jsonb_typeof(scenario -> 'prices') = 'object' then '$.prices' else format('$.prices[%s]', n) end
$$;

comment on function _price_path(jsonb, integer) is 'The JSON path of an element of prices, counted from 0.';

create or replace function _scenario_plan(scenario jsonb)
returns text
language sql
immutable
set search_path from current
as $$
    select coalesce((
        select e.value ->> 'plan'
        from jsonb_array_elements(_price_entries(scenario)) with ordinality e (value, n)
        where jsonb_typeof(e.value -> 'plan') = 'string' and not e.value ? 'price'
        order by e.n
        limit 1), 'scenario')
$$;

comment on function _scenario_plan(jsonb) is
    'The plan of what does not say of which it is: the first one that the scenario takes from the catalog; else scenario.';

create or replace function _catalog_plans(prices jsonb, scenario jsonb)
returns table (plan text, at timestamptz, item text, path text)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_entry jsonb;
    v_whole text[] := '{}';
    v_plans text[] := '{}';
begin
    for v_n in 0 .. jsonb_array_length(prices) - 1 loop
        v_entry := prices -> v_n;
        continue when v_entry ? 'price' or jsonb_typeof(v_entry -> 'plan') is distinct from 'string';
        path := _price_path(scenario, v_n);
        perform _check_scenario_fields(v_entry, path, '{plan}', '{at,item}');
        plan := _scenario_text(v_entry, path, 'plan');
        at := coalesce(_scenario_time(v_entry, path, 'at'), now());
        item := _scenario_text(v_entry, path, 'item');
        if plan = any (v_whole) or item is null and plan = any (v_plans) or (plan || chr(1) || item) = any (v_plans) then
            perform _refuse_scenario(path || '.plan', 'twice', v_entry -> 'plan');
        end if;
        perform _check_plan(plan);
        v_whole := v_whole || case when item is null then plan end;
        v_plans := v_plans || plan || (plan || chr(1) || item);
        return next;
    end loop;
end
$$;

comment on function _catalog_plans(jsonb, jsonb) is
    'The plans whose prices a scenario takes from the catalog, when these hold, of which line (null: of all), and where it says so. Raises 22023, '
    'UM007 for an unknown plan.';

create or replace function _catalog_lines(prices jsonb, scenario jsonb, scope invoice_scope, currency text)
returns setof invoice_segment
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_plan record;
    v_line record;
begin
    for v_plan in select c.* from _catalog_plans(prices, scenario) c loop
        if (select p.currency from plans p where p.plan = v_plan.plan) <> _catalog_lines.currency then
            perform _refuse_scenario(v_plan.path || '.plan', 'currency', to_jsonb(v_plan.plan));
        end if;
        for v_line in
            select h.*
            from (
                select distinct p.item
                from plan_prices p
                where p.plan = v_plan.plan and p.subject is null and (v_plan.item is null or p.item = v_plan.item)
                offset 0
            ) i
            cross join lateral _held_price(v_plan.plan, i.item, null, v_plan.at, 'infinity') h
            where h.price is not null
        loop
            return next (
                v_plan.plan, v_line.item, '-infinity', (scope.cycles[1]).since, (scope.next_cycle).until, v_line.price_id, v_line.metric,
                v_line.name, v_line.price, _catalog_lines.currency, v_line.bill, v_line.prorate, v_line.tiers_after_change)::invoice_segment;
        end loop;
        if v_plan.item is not null and not found then
            perform _refuse_scenario(v_plan.path || '.item', 'line', to_jsonb(v_plan.item));
        end if;
    end loop;
end
$$;

comment on function _catalog_lines(jsonb, jsonb, invoice_scope, text) is
    'The lines that a scenario takes from the catalog: each holds in the whole period. Raises 22023, UM007 for an unknown plan.';

create or replace function _scenario_currency(scenario jsonb)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_prices   jsonb := _price_entries(scenario);
    v_currency text := coalesce(
        _scenario_text(scenario, '$', 'currency'),
        (select coalesce(e.value ->> 'currency', e.value -> 'price' ->> 'currency')
         from jsonb_array_elements(v_prices) with ordinality e (value, n)
         where coalesce(e.value ->> 'currency', e.value -> 'price' ->> 'currency') is not null
         order by e.n
         limit 1),
        (select p.currency from _catalog_plans(v_prices, scenario) c join plans p on p.plan = c.plan where p.currency is not null limit 1));
begin
    if v_currency is null then
        perform _refuse_scenario('$.currency', 'missing');
    end if;
    perform _check_scenario_currency(v_currency, '$.currency');
    return v_currency;
end
$$;

comment on function _scenario_currency(jsonb) is
    'The currency of a scenario: as it says, or that of the first price or plan that says so. Raises 22023, UM007 for an unknown plan.';
