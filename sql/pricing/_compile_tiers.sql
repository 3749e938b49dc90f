create or replace function _compile_tiers(price jsonb, path text, compiled compiled_price)
returns compiled_price
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_price     compiled_price := compiled;
    v_tiers     jsonb := price -> 'tiers';
    v_count     integer := case when jsonb_typeof(v_tiers) = 'array' then jsonb_array_length(v_tiers) end;
    v_tier      jsonb;
    v_text      text;
    v_right     boolean;
    v_lower     numeric := 0;
    v_upper     numeric;
    v_unit      numeric;
    v_flat      numeric;
    v_base      numeric := 0;
    v_graduated boolean := compiled.model = 'graduated';
    v_uppers    numeric[] := '{}';
    v_units     numeric[] := '{}';
    v_flats     numeric[] := '{}';
    v_starts    numeric[] := '{}';
begin
    if coalesce(v_count not between 1 and 1000, true) then
        perform _refuse_price(path || '.tiers', 'tiers', v_tiers);
    end if;
    for v_index in 0 .. v_count - 1 loop
        v_tier := v_tiers -> v_index;
        -- Almost every tier is three short plain numbers: one match finds that, in half the time.
        v_text := coalesce(v_tier ->> 'up_to', '0') || ' ' || (v_tier ->> 'unit_amount') || ' '
            || case when v_tier ? 'flat_amount' then v_tier ->> 'flat_amount' else '0' end;
        if length(v_text) <= 100 and v_text ~ '^[0-9]+\.?[0-9]* [0-9]+\.?[0-9]* [0-9]+\.?[0-9]*$' then
            v_upper := (v_tier ->> 'up_to')::numeric;
            v_unit := (v_tier ->> 'unit_amount')::numeric;
            v_flat := coalesce((v_tier ->> 'flat_amount')::numeric, 0);
            v_right := true;
        else
            v_upper := _json_number(v_tier, 'up_to');
            v_unit := _json_number(v_tier, 'unit_amount');
            v_flat := case when v_tier ? 'flat_amount' then _json_number(v_tier, 'flat_amount') else 0 end;
            v_right := _is_money(v_unit) and _is_money(v_flat) and (v_tier -> 'up_to' = 'null' or _is_money(v_upper));
        end if;
        if v_right is not true or (v_upper is null) <> (v_index = v_count - 1) or v_upper <= v_lower or not v_tier ? 'up_to'
            or v_tier - '{up_to,unit_amount,flat_amount}'::text[] <> '{}' then
            perform _refuse_tier(v_tier, format('%s.tiers[%s]', path, v_index), v_lower, v_index = v_count - 1);
        end if;
        -- Graduated: what the tiers before it cost in full, less what its own rate would have been for them.
        v_base := case when v_graduated then v_base + v_flat else v_flat end;
        v_units := v_units || v_unit;
        v_flats := v_flats || v_flat;
        v_starts := v_starts || case when v_graduated then v_base - v_lower * v_unit else v_base end;
        if v_upper is not null then
            v_uppers := v_uppers || v_upper;
            v_base := v_base + (v_upper - v_lower) * v_unit;
            v_lower := v_upper;
        end if;
    end loop;
    v_price.upper_bounds := v_uppers;
    v_price.unit_amounts := v_units;
    v_price.flat_amounts := v_flats;
    v_price.intercepts := v_starts;
    if price ? 'flat_at_zero' and jsonb_typeof(price -> 'flat_at_zero') <> 'boolean' then
        perform _refuse_price(path || '.flat_at_zero', 'boolean', price -> 'flat_at_zero');
    end if;
    v_price.zero_amount := case when price -> 'flat_at_zero' = 'false' then 0 else v_flats[1] end;
    return v_price;
end
$$;

comment on function _compile_tiers(jsonb, text, compiled_price) is
    'Checks the tiers of a price and adds them to a compiled price. Raises 22023 with the path of the first field that is wrong.';

create or replace function _refuse_tier(tier jsonb, path text, lower_bound numeric, is_last boolean)
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_field text;
begin
    if jsonb_typeof(tier) <> 'object' then
        perform _refuse_price(path, 'object', tier);
    end if;
    select f into v_field from jsonb_object_keys(tier) f where f not in ('up_to', 'unit_amount', 'flat_amount') limit 1;
    if v_field is not null then
        perform _refuse_price(_json_path(path, v_field), 'unknown');
    end if;
    select f into v_field from unnest('{up_to,unit_amount}'::text[]) f where not tier ? f limit 1;
    if v_field is not null then
        perform _refuse_price(path || '.' || v_field, 'missing');
    elsif is_last and tier -> 'up_to' <> 'null' then
        perform _refuse_price(path || '.up_to', 'last', tier -> 'up_to');
    elsif not is_last and tier -> 'up_to' = 'null' then
        perform _refuse_price(path || '.up_to', 'open');
    elsif not is_last and _read_number(tier, path, 'up_to') <= lower_bound then
        perform _refuse_price(path || '.up_to', 'ascending', tier -> 'up_to');
    end if;
    perform _read_number(tier, path, 'unit_amount');
    if tier ? 'flat_amount' then
        perform _read_number(tier, path, 'flat_amount');
    end if;
end
$$;

comment on function _refuse_tier(jsonb, text, numeric, boolean) is
    'Raises 22023 with the path of the first field that is wrong in a tier; lower_bound: where the tier before it ends.';

create or replace function _compile_events(price jsonb, path text, compiled compiled_price)
returns compiled_price
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_price compiled_price := compiled;
begin
    v_price.fixed_amount := case when price ? 'fixed_amount' then _read_number(price, path, 'fixed_amount') else 0 end;
    v_price.free_events := case when price ? 'free_events' then _read_number(price, path, 'free_events') else 0 end;
    if v_price.free_events <> trunc(v_price.free_events) then
        perform _refuse_price(path || '.free_events', 'whole', price -> 'free_events');
    end if;
    return v_price;
end
$$;

comment on function _compile_events(jsonb, text, compiled_price) is
    'Checks what a percentage price asks for each event and adds it to a compiled price. Raises 22023.';
