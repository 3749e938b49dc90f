-- Texts for people: no part of the contract.

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _units_text(lower_bound numeric, upper_bound numeric)
returns text
language sql
immutable parallel safe
as $$
    select case
        when lower_bound = upper_bound then 'no units'
        when trunc(lower_bound) <> lower_bound or trunc(upper_bound) <> upper_bound
            then 'units above ' || trim_scale(lower_bound)::text || ' up to ' || trim_scale(upper_bound)::text
        when lower_bound + 1 = upper_bound then 'unit ' || trim_scale(upper_bound)::text
        else 'units ' || trim_scale(lower_bound + 1)::text || ' to ' || trim_scale(upper_bound)::text
    end
$$;

comment on function _units_text(numeric, numeric) is 'The units in (lower_bound, upper_bound], such as: units 1001 to 5000.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _product_text(quantity numeric, unit_amount numeric, flat_amount numeric)
returns text
language sql
immutable parallel safe
as $$
    select trim_scale(quantity)::text || ' x ' || trim_scale(unit_amount)::text
        || case when flat_amount > 0 then ' + ' || trim_scale(flat_amount)::text
                when flat_amount < 0 then ' - ' || trim_scale(-flat_amount)::text else '' end
$$;

comment on function _product_text(numeric, numeric, numeric) is 'How an amount is computed, such as: 4000 x 0.002 + 10.';

-- In the last line of the model: convert and free_units count once in a period, so what is told is the whole period.
create or replace function _note_conversion(lines rated_line[], price compiled_price, quantity numeric, result priced_quantity)
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_line rated_line := lines[cardinality(lines)];
begin
    v_line.explanation := v_line.explanation || '; in the period: ' || trim_scale(quantity)
        || case when price.divide_by is null then '' else format(' / %s%s = %s', trim_scale(price.divide_by),
            case price.rounding when 'none' then '' else ' rounded ' || price.rounding end, coalesce(trim_scale(result.converted), 0)) end
        || case when price.free_units is null then '' else format(', %s free', trim_scale(price.free_units)) end;
    return lines[: cardinality(lines) - 1] || v_line;
end
$$;

comment on function _note_conversion(rated_line[], compiled_price, numeric, priced_quantity) is
    'Adds to the last of the lines what convert and free_units have made of the whole quantity of the period.';

-- Of the models that ask one rate for the whole quantity: of the tier that it is in, or the only one.
create or replace function _tier_line(price compiled_price, tier integer, before numeric, after numeric, flat_amount numeric)
returns rated_line
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_unit     numeric := price.unit_amounts[tier];
    v_quantity numeric := after - before;
    v_product  text := _product_text(after - before, v_unit, flat_amount);
begin
    return (tier, v_quantity, v_unit, flat_amount, v_quantity * v_unit + flat_amount, case
        when price.model = 'flat' then case sign(flat_amount)
            when -1 then 'taken back: flat amount' when 1 then 'flat amount' else 'flat amount: nothing more due' end
        when price.model = 'percentage' then format('%s%% of %s', trim_scale(v_unit * 100), trim_scale(v_quantity))
            || case when flat_amount <> 0 then format(', and %s for %s events', trim_scale(flat_amount),
                    trim_scale(div(flat_amount, price.fixed_amount))) else '' end
        when v_quantity < 0 then 'taken back: ' || v_product
        when v_quantity = 0 then 'no units: ' || v_product
        when price.model = 'package' then format('packages of %s: %s', trim_scale(price.package_size), v_product)
        when price.model = 'volume' and before = 0
            then format('all %s at the rate of tier %s: %s', _units_text(0, after), tier, v_product)
        when price.model = 'volume' then format('%s at the rate of tier %s: %s', _units_text(before, after), tier, v_product)
        else _units_text(before, after) || ': ' || v_product
    end);
end
$$;

comment on function _tier_line(compiled_price, integer, numeric, numeric, numeric) is
    'The line for what is between two quantities, before and after, all at the rate of one tier.';
