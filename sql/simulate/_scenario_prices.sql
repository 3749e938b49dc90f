-- Lines from the catalog first, then the scenario's own, which replace them.
create or replace function _scenario_lines(scenario jsonb, scope invoice_scope, currency text)
returns setof invoice_segment
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_prices   jsonb := _price_entries(scenario);
    v_plan     text := _scenario_plan(scenario);
    v_path     text;
    v_line     invoice_segment;
    v_own      invoice_segment[] := '{}';
    v_paths    text[] := '{}';
    v_overlaps integer;
begin
    for v_n in 0 .. jsonb_array_length(v_prices) - 1 loop
        v_path := _price_path(scenario, v_n);
        if not v_prices -> v_n ? 'price' and jsonb_typeof(v_prices -> v_n -> 'plan') = 'string' then
            continue;
        end if;
        v_line := _scenario_line(v_prices -> v_n, v_path, scope, v_plan);
        if coalesce(v_line.currency, _scenario_lines.currency) <> _scenario_lines.currency then
            perform _refuse_scenario(v_path || case when v_prices -> v_n ->> 'currency' is null then '.price' else '' end || '.currency', 'currency',
                to_jsonb(v_line.currency));
        end if;
        v_line.currency := _scenario_lines.currency;
        if v_line.since < v_line.until then
            v_own := v_own || v_line;
            v_paths := v_paths || v_path;
        end if;
    end loop;
    select o.n into v_overlaps
    from (
        select s.n, s.since < lag(s.until) over (partition by s.plan, s.item order by s.since, s.n) as overlaps
        from (select (v_own[n]).plan, (v_own[n]).item, (v_own[n]).since, (v_own[n]).until, n from generate_subscripts(v_own, 1) n) s
    ) o
    where o.overlaps
    order by o.n
    limit 1;
    if v_overlaps is not null then
        perform _refuse_scenario(v_paths[v_overlaps], 'overlap');
    end if;
    return query
    select l.*
    from (
        select c.* from _catalog_lines(v_prices, scenario, scope, _scenario_lines.currency) c
        where (c.plan, c.item) not in (select o.plan, o.item from unnest(v_own) o)
        union all
        select o.* from unnest(v_own) o
    ) l
    order by l.plan collate "C", l.item collate "C", l.since;
end
$$;

comment on function _scenario_lines(jsonb, invoice_scope, text) is
    'The lines of the prices of a scenario, those of usage and fees, each with the time in which it holds; ordered by plan, item and time. currency: '
    'of the scenario. Raises 22023, UM007 for an unknown plan.';

create or replace function _scenario_line(entry jsonb, path text, scope invoice_scope, plan text)
returns invoice_segment
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_line invoice_segment;
begin
    perform _check_scenario_fields(entry, path, '{price}',
        '{item,metric,name,plan,price_version,currency,bill,prorate,tiers_after_change,since,until}');
    v_line.metric := _scenario_text(entry, path, 'metric');
    v_line.item := coalesce(_scenario_text(entry, path, 'item'), v_line.metric);
    if v_line.item is null then
        perform _refuse_scenario(path || '.item', 'missing');
    end if;
    v_line.plan := coalesce(_scenario_text(entry, path, 'plan'), _scenario_line.plan);
    v_line.name := _scenario_text(entry, path, 'name');
    v_line.subscribed_at := '-infinity';
    v_line.since := greatest(_scenario_time(entry, path, 'since'), (scope.cycles[1]).since);
    v_line.until := least(_scenario_time(entry, path, 'until'), (scope.next_cycle).until);
    v_line.price_version := _scenario_integer(entry, path, 'price_version');
    v_line.price := entry -> 'price';
    perform _compile_price(v_line.price, path || '.price');
    if v_line.metric is null and v_line.price ->> 'model' not in ('flat', 'unit') then
        perform _refuse_scenario(path || '.price.model', 'fee', v_line.price -> 'model');
    elsif _scenario_time(entry, path, 'since') >= _scenario_time(entry, path, 'until') then
        perform _refuse_scenario(path || '.until', 'window', entry -> 'until');
    end if;
    v_line.currency := coalesce(_scenario_text(entry, path, 'currency'), v_line.price ->> 'currency');
    v_line.bill := coalesce(_scenario_word(entry, path, 'bill', '{advance,arrears}'), 'arrears');
    v_line.prorate := coalesce(_scenario_boolean(entry, path, 'prorate'), true);
    v_line.tiers_after_change := coalesce(_scenario_word(entry, path, 'tiers_after_change', '{continue,restart}'), 'continue');
    return v_line;
end
$$;

comment on function _scenario_line(jsonb, text, invoice_scope, text) is
    'A line of the prices of a scenario. plan: of which it is, unless it says so. currency is null if it does not say so. Raises 22023.';
