create or replace function _scenario_taxes(scenario jsonb)
returns setof invoice_tax
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_given jsonb := _scenario_array(scenario, '$', 'taxes');
    v_entry jsonb;
    v_path  text;
    v_one   invoice_tax;
    v_all   invoice_tax[] := '{}';
begin
    for v_n in 0 .. jsonb_array_length(v_given) - 1 loop
        v_entry := v_given -> v_n;
        v_path := format('$.taxes[%s]', v_n);
        perform _check_scenario_fields(v_entry, v_path, '{percent}', '{name,inclusive}');
        v_one.name := coalesce(_scenario_text(v_entry, v_path, 'name'), 'tax');
        v_one.percent := _scenario_number(v_entry, v_path, 'percent');
        v_one.inclusive := coalesce(_scenario_boolean(v_entry, v_path, 'inclusive'), false);
        if v_one.percent > 1000 or scale(trim_scale(v_one.percent)) > 20 then
            perform _refuse_scenario(v_path || '.percent', 'percent', v_entry -> 'percent');
        elsif exists (select from unnest(v_all) a where a.name = v_one.name) then
            perform _refuse_scenario(v_path || '.name', 'twice', to_jsonb(v_one.name));
        end if;
        v_all := v_all || v_one;
    end loop;
    return query select a.* from unnest(v_all) a order by a.name collate "C";
end
$$;

comment on function _scenario_taxes(jsonb) is 'The taxes of a scenario, by name. Raises 22023.';
