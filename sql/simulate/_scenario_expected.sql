-- What is expected is a list of checks: where it says so (path), how much, and of what: measure is a sum of the scenario (such as total), or amount
-- or unit_amount of the lines that match names. A check with found says itself what was found.
create or replace function _expected_checks(expected jsonb)
returns jsonb
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_expected jsonb := coalesce(nullif(expected, 'null'), '{}');
    v_lines    jsonb;
    v_line     jsonb;
    v_path     text;
    v_word     text;
    v_checks   jsonb := '[]';
begin
    perform _check_scenario_fields(v_expected, '$.expected', '{}', '{subtotal,credits,tax,total,currency,lines}');
    v_checks := _sum_checks(v_expected, '{subtotal,credits,tax,total}');
    v_lines := _scenario_array(v_expected, '$.expected', 'lines');
    for v_n in 0 .. jsonb_array_length(v_lines) - 1 loop
        v_line := v_lines -> v_n;
        v_path := format('$.expected.lines[%s]', v_n);
        perform _check_scenario_fields(v_line, v_path, '{amount}', '{plan,item,metric,kind}'),
            _scenario_word(v_line, v_path, 'kind', '{usage,fee,discount,true_up,credit,tax}');
        foreach v_word in array '{plan,item,metric}'::text[] loop
            perform _scenario_text(v_line, v_path, v_word);
        end loop;
        v_checks := v_checks || jsonb_build_object(
            'path', v_path || '.amount', 'expected', _scenario_signed(v_line, v_path, 'amount'), 'measure', 'amount',
            'match', jsonb_strip_nulls(v_line - 'amount'));
    end loop;
    return v_checks;
end
$$;

comment on function _expected_checks(jsonb) is 'The checks of the field expected of a scenario. Raises 22023.';

create or replace function _sum_checks(expected jsonb, measures text[])
returns jsonb
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_measure text;
    v_value   numeric;
    v_checks  jsonb := '[]';
begin
    foreach v_measure in array measures loop
        v_value := _scenario_signed(expected, '$.expected', v_measure);
        if v_value is not null then
            v_checks := v_checks || jsonb_build_object('path', '$.expected.' || v_measure, 'expected', v_value, 'measure', v_measure);
        end if;
    end loop;
    if _scenario_text(expected, '$.expected', 'currency') is not null then
        v_checks := v_checks || jsonb_build_object(
            'path', '$.expected.currency', 'expected', expected -> 'currency', 'measure', 'currency');
    end if;
    return v_checks;
end
$$;

comment on function _sum_checks(jsonb, text[]) is 'The checks of sums, and of the currency, that are expected of a scenario. Raises 22023.';

create or replace function _compared(checks jsonb, sums jsonb, lines invoice_line[], tolerances jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_tolerances jsonb := coalesce(nullif(tolerances, 'null'), '{}');
    v_absolute   numeric;
    v_relative   numeric;
begin
    perform _check_scenario_fields(v_tolerances, '$.tolerances', '{}', '{absolute,relative}');
    v_absolute := coalesce(_scenario_number(v_tolerances, '$.tolerances', 'absolute'), 0);
    v_relative := coalesce(_scenario_number(v_tolerances, '$.tolerances', 'relative'), 0);
    if v_relative > 1 then
        perform _refuse_scenario('$.tolerances.relative', 'share', v_tolerances -> 'relative');
    end if;
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
            'path', c.value ->> 'path', 'expected', e.expected, 'found', f.found, 'difference', trim_scale(d.difference)::text,
            'allowed', trim_scale(d.allowed)::text,
            'passed', coalesce(case when d.allowed is null then e.expected = f.found else abs(d.difference) <= d.allowed end, false))
            order by c.n), '[]')
        from jsonb_array_elements(checks) with ordinality c (value, n)
        cross join lateral (select c.value ->> 'expected' as expected) e
        cross join lateral (select _found(c.value, sums, lines) as found offset 0) f
        cross join lateral (
            select f.found::numeric - e.expected::numeric as difference, greatest(v_absolute, v_relative * abs(e.expected::numeric)) as allowed
            where jsonb_typeof(c.value -> 'expected') = 'number'
            union all
            select null, null where jsonb_typeof(c.value -> 'expected') <> 'number'
        ) d);
end
$$;

comment on function _compared(jsonb, jsonb, invoice_line[], jsonb) is
    'The outcome of each check: expected, found, the difference, and what tolerances allow; what is unknown has not passed. Raises 22023.';

-- A rate is compared with as many decimals as it is expected with: some write an average, rounded.
create or replace function _found("check" jsonb, sums jsonb, lines invoice_line[])
returns text
language sql
stable
set search_path from current
as $$
    select case
        when "check" ? 'found' then "check" ->> 'found'
        when "check" ->> 'measure' not in ('amount', 'unit_amount') then sums ->> ("check" ->> 'measure')
        when "check" ->> 'measure' = 'amount' then (
            select case when count(*) = count(l.amount) then sum(l.amount) end::text from _matching(lines, "check" -> 'match') l)
        else (
            select round(case when count(*) = 1 then max(l.unit_amount) else _portion(sum(l.exact_amount), 1, ("check" ->> 'quantity')::numeric) end,
                greatest(scale(("check" ->> 'expected')::numeric), _currency_decimals(sums ->> 'currency')))::text
            from _matching(lines, "check" -> 'match') l
            where l.tier is not null)
    end
$$;

comment on function _found(jsonb, jsonb, invoice_line[]) is 'What the invoice of a scenario has of what is expected; null: no such line.';
