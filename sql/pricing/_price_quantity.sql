-- Every function here takes the whole quantity of a period. A slice is a difference of two such results, so slices add up.
create or replace function _convert_quantity(quantity numeric, price compiled_price)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_divisor  numeric := price.divide_by;
    v_decimals integer := 450 + scale(quantity);
begin
    if price.rounding = 'down' then
        return div(quantity, v_divisor);
    elsif price.rounding = 'up' then
        return div(quantity, v_divisor) + case when mod(quantity, v_divisor) > 0 then 1 else 0 end;
    elsif price.inverse is not null then
        return trim_scale(quantity * price.inverse);
    end if;
    -- A quotient that ends has at most so many decimals: those of the quantity, and one for each factor 2 or 5 of the divisor.
    if mod(quantity * ('1e' || v_decimals)::numeric, v_divisor) = 0 then
        return trim_scale(div(quantity * ('1e' || v_decimals)::numeric, v_divisor) * ('1e-' || v_decimals)::numeric);
    end if;
    return trim_scale(div(quantity * 2e20 + v_divisor, v_divisor * 2) * 1e-20);
end
$$;

comment on function _convert_quantity(numeric, compiled_price) is
    'quantity / divide_by: rounded up or down to a whole number, or exact; a quotient that does not end is rounded to 20 decimals, half away '
    'from zero.';

create or replace function _price_quantity(price compiled_price, quantity numeric, event_count numeric)
returns priced_quantity
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_result priced_quantity;
    v_number numeric := quantity;
    v_tier   integer := 1;
begin
    if price.divide_by is not null then
        v_number := _convert_quantity(v_number, price);
    end if;
    v_result.converted := v_number;
    if price.free_units is not null then
        v_number := greatest(v_number - price.free_units, 0);
    end if;
    v_result.units := v_number;
    if price.package_size is not null then
        v_number := div(v_number, price.package_size) + case when mod(v_number, price.package_size) > 0 then 1 else 0 end;
    end if;
    v_result.quantity := v_number;
    if v_number > 0 then
        v_tier := width_bucket(v_number, price.upper_bounds) + 1;
        if v_number = price.upper_bounds[v_tier - 1] then
            v_tier := v_tier - 1;  -- bounds are inclusive
        end if;
        v_result.flat_amount := price.flat_amounts[v_tier];
        v_result.amount := price.intercepts[v_tier] + v_number * price.unit_amounts[v_tier];
    else
        v_result.flat_amount := price.zero_amount;
        v_result.amount := price.zero_amount;
    end if;
    v_result.tier := v_tier;
    v_result.unit_amount := price.unit_amounts[v_tier];
    if price.fixed_amount > 0 and event_count > price.free_events then
        v_result.flat_amount := price.fixed_amount * (event_count - price.free_events);
        v_result.amount := v_result.amount + v_result.flat_amount;
    end if;
    return v_result;
end
$$;

comment on function _price_quantity(compiled_price, numeric, numeric) is
    'What a price that is no matrix makes of the quantity and the number of events of a whole period, before discount, maximum and minimum.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _bound_amount(amount numeric, kept numeric, maximum_amount numeric, minimum_amount numeric)
returns numeric
language sql
immutable parallel safe
as $$
    select greatest(least(case when kept is null then amount else amount * kept end, maximum_amount), minimum_amount)
$$;

comment on function _bound_amount(numeric, numeric, numeric, numeric) is
    'An amount after the discount, the maximum and the minimum of a price; null stands for none of them. The amount itself must not be null.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _has_usage(fixed_amount numeric, quantity numeric, event_count numeric)
returns boolean
language sql
immutable parallel safe
as $$
    select coalesce(quantity > 0 or fixed_amount > 0 and event_count > 0, false)
$$;

comment on function _has_usage(numeric, numeric, numeric) is
    'Whether a price has something to count: a quantity, or events if each costs a fixed_amount.';

-- What invoices, projections and comparisons ask by the thousand: no rows, no texts.
create or replace function _price_amount(
    price compiled_price,
    quantity numeric,
    billed numeric default 0,
    final boolean default true,
    event_count numeric default 0,
    billed_events numeric default 0
)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_amount    numeric := 0;
    v_before    numeric := 0;
begin
    if final or _has_usage(price.fixed_amount, billed + quantity, billed_events + event_count) then
        v_amount := (_price_quantity(price, billed + quantity, billed_events + event_count)).amount;
        v_amount := _bound_amount(v_amount, price.kept, price.maximum_amount, price.minimum_amount);
    end if;
    if _has_usage(price.fixed_amount, billed, billed_events) then
        v_before := (_price_quantity(price, billed, billed_events)).amount;
        v_before := _bound_amount(v_before, price.kept, price.maximum_amount, price.minimum_amount);
    end if;
    return v_amount - v_before;
end
$$;

comment on function _price_amount(compiled_price, numeric, numeric, boolean, numeric, numeric) is
    'The sum of the amounts of rate(), for a compiled price that is no matrix and arguments that were checked.';
