create or replace function _find_cell(cells jsonb, conditions jsonb)
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    select c -> 'price'
    from jsonb_array_elements(cells) c
    where conditions @> (c -> 'when')
    order by (select count(*) from jsonb_object_keys(c -> 'when')) desc
    limit 1
$$;

comment on function _find_cell(jsonb, jsonb) is
    'The price of the most specific cell that fits a combination; null if none does. _check_ties() has made sure that there is one at most.';

create or replace function _rate_matrix(
    price compiled_price,
    quantity numeric,
    billed numeric,
    final boolean,
    event_count numeric,
    dimensions jsonb,
    billed_events numeric
)
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lines   rated_line[] := '{}';
    v_line    rated_line;
    v_one     record;
    v_cell    jsonb;
    v_price   compiled_price;
    v_before  numeric;
    v_after   numeric;
    v_billed  numeric;
    v_unknown boolean := false;
begin
    if final then
        v_after := 0;  -- the minimum is due
    end if;
    for v_one in
        select c.*, (select string_agg(w.key || ' ' || w.value, ', ' order by w.key collate "C") from jsonb_each_text(c.conditions) w) as name
        from _combinations(_rate_matrix.dimensions, _rate_matrix.quantity, _rate_matrix.billed, _rate_matrix.event_count,
            _rate_matrix.billed_events) c
    loop
        v_cell := _find_cell(price.cells, v_one.conditions);
        if v_cell is null then
            -- No usage of an unknown combination costs nothing, whatever another price said of it before; usage of one has no amount.
            continue when v_one.quantity = 0;
            v_unknown := true;
            v_lines := v_lines || (null, v_one.quantity, null, null, null,
                format('error: no cell for %s', coalesce(v_one.name, 'usage without dimensions')))::rated_line;
            continue;
        end if;
        v_price := _compile_price(v_cell);
        foreach v_line in array _rate_one(v_price, v_one.quantity, v_one.billed, final, v_one.event_count, v_one.billed_events) loop
            v_line.explanation := coalesce(v_one.name || ': ', '') || v_line.explanation;
            v_lines := v_lines || v_line;
        end loop;
        if _has_usage(v_price.fixed_amount, v_one.billed, v_one.billed_events) then
            v_billed := _price_amount(v_price, v_one.billed, 0, false, v_one.billed_events, 0);
            v_before := coalesce(v_before, 0) + v_billed;
        else
            v_billed := 0;
        end if;
        if final or _has_usage(v_price.fixed_amount, v_one.billed + v_one.quantity, v_one.billed_events + v_one.event_count) then
            v_after := coalesce(v_after, 0) + v_billed
                + _price_amount(v_price, v_one.quantity, v_one.billed, final, v_one.event_count, v_one.billed_events);
        end if;
    end loop;
    return case when v_unknown then v_lines else v_lines || _adjustment_lines(price, v_before, v_after) end;
end
$$;

comment on function _rate_matrix(compiled_price, numeric, numeric, boolean, numeric, jsonb, numeric) is
    'The lines of rate() for a matrix: those of each combination, by the price of its cell, then discount, maximum and minimum of them all. Usage '
    'without a cell has a line with the amount null, and then these are left out.';

create or replace function _rate_one(
    price compiled_price,
    quantity numeric,
    billed numeric,
    final boolean,
    event_count numeric,
    billed_events numeric
)
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_before priced_quantity;
    v_after  priced_quantity;
    v_lines  rated_line[];
begin
    if price.fixed_amount > 0 and event_count is null and quantity <> 0 then
        raise exception using
            errcode = '22004', message = 'event_count is null, and the price has a fixed_amount per event', column = 'event_count',
            hint = 'Pass the number of events of the quantity: usage() returns it as event_count.';
    end if;
    if _has_usage(price.fixed_amount, billed, billed_events) then
        v_before := _price_quantity(price, billed, billed_events);
    end if;
    if final or _has_usage(price.fixed_amount, billed + quantity, billed_events + event_count) then
        v_after := _price_quantity(price, billed + quantity, billed_events + coalesce(event_count, 0));
    end if;
    v_lines := _model_lines(price, v_before, v_after);
    if price.divide_by is not null or price.free_units is not null then
        v_lines := _note_conversion(v_lines, price, billed + quantity, v_after);
    end if;
    if price.kept is null and price.maximum_amount is null and price.minimum_amount is null then
        return v_lines;
    end if;
    return v_lines || _adjustment_lines(price, v_before.amount, v_after.amount);
end
$$;

comment on function _rate_one(compiled_price, numeric, numeric, boolean, numeric, numeric) is
    'The lines of rate() for a compiled price that is no matrix. Raises 22004 for a null event_count where events cost something.';
