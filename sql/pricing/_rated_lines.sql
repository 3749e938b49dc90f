-- Of a price that is no matrix. before and after are the whole quantity of the period without and with the slice; null: nothing was used.
create or replace function _model_lines(price compiled_price, before priced_quantity, after priced_quantity)
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lines rated_line[];
begin
    if price.model = 'graduated' then
        v_lines := _graduated_lines(price, before, after);
    elsif before.tier = after.tier then
        v_lines := array[_tier_line(price, after.tier, before.quantity, after.quantity, after.flat_amount - before.flat_amount)];
    else
        if before.tier is not null then
            v_lines := array[_tier_line(price, before.tier, before.quantity, 0, -before.flat_amount)];
        end if;
        if after.tier is not null then
            v_lines := v_lines || _tier_line(price, after.tier, 0, after.quantity, after.flat_amount);
        end if;
    end if;
    -- Zero usage has its line, too.
    return case when cardinality(v_lines) > 0 then v_lines
                else array[_tier_line(price, coalesce(after.tier, before.tier, 1), 0, 0, 0)] end;
end
$$;

comment on function _model_lines(compiled_price, priced_quantity, priced_quantity) is
    'The lines of the tiers for what a slice adds to a period. Their amounts sum to the difference of the two amounts.';

create or replace function _graduated_lines(price compiled_price, before priced_quantity, after priced_quantity)
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lines  rated_line[] := '{}';
    v_before numeric := coalesce(before.quantity, 0);
    v_after  numeric := coalesce(after.quantity, 0);
    v_sign   integer := case when v_after < v_before then -1 else 1 end;
    v_lower  numeric;
    v_from   numeric;
    v_to     numeric;
    v_flat   numeric;
    v_units  numeric[] := price.unit_amounts;
    v_uppers numeric[] := price.upper_bounds;
begin
    for v_tier in least(coalesce(before.tier, 1), coalesce(after.tier, 1)) .. greatest(before.tier, after.tier, 1) loop
        v_lower := case when v_tier = 1 then 0 else v_uppers[v_tier - 1] end;
        v_from := greatest(v_lower, least(v_before, v_after));
        v_to := least(v_uppers[v_tier], greatest(v_before, v_after));
        if v_tier = 1 then
            v_flat := case when after.tier is null then 0 when v_after > 0 then price.flat_amounts[1] else price.zero_amount end
                    - case when before.tier is null then 0 when v_before > 0 then price.flat_amounts[1] else price.zero_amount end;
        else
            v_flat := case when v_from = v_lower and v_to > v_lower then v_sign * price.flat_amounts[v_tier] else 0 end;
        end if;
        if v_from < v_to or v_flat <> 0 then
            v_lines := v_lines || (v_tier, v_sign * (v_to - v_from), v_units[v_tier], v_flat, v_sign * (v_to - v_from) * v_units[v_tier] + v_flat,
                case when v_sign < 0 then 'taken back: ' else '' end || _units_text(v_from, v_to) || ': '
                || _product_text(v_sign * (v_to - v_from), v_units[v_tier], v_flat))::rated_line;
        end if;
    end loop;
    return v_lines;
end
$$;

comment on function _graduated_lines(compiled_price, priced_quantity, priced_quantity) is
    'One line for each tier in which a slice has units, or has reached the flat amount of.';

create or replace function _adjustment_lines(price compiled_price, before numeric, after numeric)
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lines   rated_line[] := '{}';
    v_kept    numeric := coalesce(price.kept, 1);
    v_cut     numeric := (coalesce(after, 0) - coalesce(before, 0)) * (1 - v_kept);
    v_capped  numeric := coalesce(least(after * v_kept, price.maximum_amount) - after * v_kept, 0)
                       - coalesce(least(before * v_kept, price.maximum_amount) - before * v_kept, 0);
    v_reached numeric := case when after is null then 0 else least(after * v_kept, price.maximum_amount) end;
    v_raised  numeric := case when after is null then 0 else greatest(price.minimum_amount - v_reached, 0) end;
begin
    if before is not null then
        v_raised := v_raised - greatest(price.minimum_amount - least(before * v_kept, price.maximum_amount), 0);
    end if;
    if v_cut <> 0 then
        v_lines := v_lines || (null, null, null, null, -v_cut, format('discount: %s%% of %s', trim_scale((1 - v_kept) * 100),
            trim_scale(coalesce(after, 0) - coalesce(before, 0))))::rated_line;
    end if;
    if v_capped <> 0 then
        v_lines := v_lines || (null, null, null, null, v_capped, format('maximum %s for the period; without it: %s',
            trim_scale(price.maximum_amount), trim_scale(coalesce(after, 0) * v_kept)))::rated_line;
    end if;
    if v_raised <> 0 then
        v_lines := v_lines || (null, null, null, null, v_raised, format('minimum %s for the period; without it: %s',
            trim_scale(price.minimum_amount), trim_scale(v_reached)))::rated_line;
    end if;
    return v_lines;
end
$$;

comment on function _adjustment_lines(compiled_price, numeric, numeric) is
    'The lines of discount, maximum and minimum for what a slice adds; before and after: the amounts of the period by the model without and with '
    'it, null where nothing was used.';
