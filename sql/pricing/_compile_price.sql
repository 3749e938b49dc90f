-- A price document is checked and compiled in one pass: rate() does so at every call.
create or replace function _compile_price(price jsonb, path text default '$')
returns compiled_price
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_model    text := case when jsonb_typeof(price -> 'model') = 'string' then price ->> 'model' end;
    v_required text[] := _required_fields(v_model);
    v_price    compiled_price;
begin
    if jsonb_typeof(price) <> 'object' or v_required is null or not price ?& v_required
        or price - v_required - _optional_fields(v_model) <> '{}' then
        perform _refuse_fields(price, path);
    end if;
    v_price.model := v_model;
    if v_model in ('graduated', 'volume') then
        v_price := _compile_tiers(price, path, v_price);
    elsif v_model = 'matrix' then
        v_price.cells := _compile_cells(price, path);
    else
        v_price.upper_bounds := '{}';
        v_price.unit_amounts := array[case v_model
            when 'flat' then 0 when 'percentage' then _read_number(price, path, 'percent') * 0.01 else _read_number(price, path, 'unit_amount') end];
        v_price.flat_amounts := array[case v_model when 'flat' then _read_number(price, path, 'flat_amount') else 0 end];
        v_price.intercepts := v_price.flat_amounts;
        v_price.zero_amount := v_price.flat_amounts[1];
        if v_model = 'package' then
            v_price.package_size := _read_positive(price, path, 'package_size');
        elsif v_model = 'percentage' then
            v_price := _compile_events(price, path, v_price);
        end if;
    end if;
    -- A field that is missing is not read: most are.
    if price ? 'currency' and not (jsonb_typeof(price -> 'currency') = 'string' and price ->> 'currency' ~ '^[A-Z]{3}$') then
        perform _refuse_price(path || '.currency', 'currency', price -> 'currency');
    end if;
    if price ? 'convert' then
        v_price := _compile_convert(price -> 'convert', path || '.convert', v_price);
    end if;
    if price ? 'free_units' then
        v_price.free_units := _read_number(price, path, 'free_units');
    end if;
    if price ? 'discount_percent' then
        v_price.kept := (100 - _read_number(price, path, 'discount_percent')) * 0.01;
        if v_price.kept < 0 then
            perform _refuse_price(path || '.discount_percent', 'hundred', price -> 'discount_percent');
        end if;
    end if;
    if price ? 'maximum_amount' then
        v_price.maximum_amount := _read_number(price, path, 'maximum_amount');
    end if;
    if price ? 'minimum_amount' then
        v_price.minimum_amount := _read_number(price, path, 'minimum_amount');
        if v_price.maximum_amount < v_price.minimum_amount then
            perform _refuse_price(path || '.maximum_amount', 'below', price -> 'maximum_amount');
        end if;
    end if;
    return v_price;
end
$$;

comment on function _compile_price(jsonb, text) is
    'Checks a price and returns it as the arithmetic reads it; path: where it stands in the document. Raises 22023 with the path of the first '
    'field that is wrong.';

create or replace function _read_positive(price jsonb, path text, field text)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_value numeric := _read_number(_read_positive.price, _read_positive.path, _read_positive.field);
begin
    if v_value = 0 then
        perform _refuse_price(_read_positive.path || '.' || _read_positive.field, 'positive', _read_positive.price -> _read_positive.field);
    end if;
    return v_value;
end
$$;

comment on function _read_positive(jsonb, text, text) is 'The number above 0 in a field of a price. Raises 22023 for anything else.';

create or replace function _compile_convert(convert jsonb, path text, price compiled_price)
returns compiled_price
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_price compiled_price := price;
    v_field text;
begin
    if jsonb_typeof(convert) <> 'object' then
        perform _refuse_price(path, 'object', convert);
    end if;
    select f into v_field from jsonb_object_keys(convert) f where f not in ('divide_by', 'round') limit 1;
    if v_field is not null then
        perform _refuse_price(_json_path(path, v_field), 'unknown');
    elsif not convert ? 'divide_by' then
        perform _refuse_price(path || '.divide_by', 'missing');
    elsif not (case when convert ? 'round' then jsonb_typeof(convert -> 'round') = 'string' and convert ->> 'round' in ('up', 'down', 'none')
                    else true end) then
        perform _refuse_price(path || '.round', 'round', convert -> 'round');
    end if;
    v_price.divide_by := _read_positive(convert, path, 'divide_by');
    v_price.rounding := coalesce(convert ->> 'round', 'none');
    -- A divisor of at most 100 digits has an inverse of at most 433 decimals, or one that does not end.
    v_price.inverse := case when mod(1e450, v_price.divide_by) = 0 then trim_scale(div(1e450, v_price.divide_by) * 1e-450) end;
    return v_price;
end
$$;

comment on function _compile_convert(jsonb, text, compiled_price) is 'Checks the field convert and adds it to a compiled price. Raises 22023.';
