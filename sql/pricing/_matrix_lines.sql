-- The combinations of a matrix, each with its own quantities. An object names the only one, an array lists several.
create or replace function _combinations(
    dimensions jsonb,
    whole_quantity numeric,
    whole_billed numeric,
    whole_events numeric,
    whole_billed_events numeric
)
returns table (conditions jsonb, quantity numeric, billed numeric, event_count numeric, billed_events numeric)
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_entry  jsonb;
    v_path   text;
    v_sum    numeric := 0;
    v_billed numeric := 0;
begin
    if dimensions is null or jsonb_typeof(dimensions) <> 'array' then
        return query select _check_combination(coalesce(dimensions, '{}'), '$'), whole_quantity, whole_billed, whole_events, whole_billed_events;
        return;
    end if;
    for v_index in 0 .. jsonb_array_length(dimensions) - 1 loop
        v_entry := dimensions -> v_index;
        v_path := format('$[%s]', v_index);
        if jsonb_typeof(v_entry) <> 'object' or not v_entry ?& '{when,quantity}'
            or v_entry - '{when,quantity,billed,event_count,billed_events}'::text[] <> '{}' then
            perform _refuse_dimensions(v_path, 'is not an object with when and quantity, and perhaps billed, event_count and billed_events');
        end if;
        conditions := _check_combination(v_entry -> 'when', v_path || '.when');
        quantity := _read_entry(v_entry, v_path, 'quantity');
        billed := _read_entry(v_entry, v_path, 'billed');
        event_count := case when v_entry ? 'event_count' then _read_entry(v_entry, v_path, 'event_count') end;
        billed_events := _read_entry(v_entry, v_path, 'billed_events');
        if billed < 0 or billed + quantity < 0 or billed_events < 0 or billed_events + event_count < 0 then
            perform _refuse_dimensions(v_path, 'takes back more than was billed');
        end if;
        v_sum := v_sum + quantity;
        v_billed := v_billed + billed;
        return next;
    end loop;
    if v_sum <> whole_quantity or v_billed <> whole_billed then
        perform _refuse_dimensions('$', format('sums to quantity %s and billed %s, not to those that were passed', v_sum, v_billed));
    elsif exists (
        select from jsonb_array_elements(dimensions) e
        group by _check_combination(e.value -> 'when', '$')
        having count(*) > 1
    ) then
        perform _refuse_dimensions('$', 'lists a combination twice');
    end if;
end
$$;

comment on function _combinations(jsonb, numeric, numeric, numeric, numeric) is
    'The combinations in the parameter dimensions of rate(), with the quantity of each. Raises 22023 with the path of what is wrong.';

create or replace function _check_combination(conditions jsonb, path text)
returns jsonb
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
begin
    if jsonb_typeof(conditions) <> 'object'
        or exists (select from jsonb_each(conditions) c where jsonb_typeof(c.value) in ('object', 'array')) then
        perform _refuse_dimensions(path, 'is not an object of a value for each dimension');
    end if;
    return (select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each_text(conditions) c where c.value is not null);
end
$$;

comment on function _check_combination(jsonb, text) is
    'The text of each value of a combination; a null is a value that is missing. Raises 22023 for anything but an object of values.';

create or replace function _read_entry(entry jsonb, path text, field text)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_text   text := case when entry -> field is null then '0' else entry ->> field end;
    v_number numeric := case when length(v_text) <= 1000 and v_text ~ '^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$'
                             then v_text::numeric end;
begin
    if coalesce(abs(v_number) >= 1e1000 or scale(v_number) > 1000, true) then
        perform _refuse_dimensions(path || '.' || field, 'is not a number');
    end if;
    return v_number;
end
$$;

comment on function _read_entry(jsonb, text, text) is 'A number of an entry of dimensions, which may be negative; 0 if it is missing. Raises 22023.';

create or replace function _refuse_dimensions(path text, problem text)
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
begin
    raise exception using
        errcode = '22023', message = 'invalid dimensions', column = 'dimensions', detail = format('%s %s.', path, left(problem, 200)),
        hint = 'Pass an object such as {"model": "large"}, or an array such as [{"when": {"model": "large"}, "quantity": 5}].';
end
$$;

comment on function _refuse_dimensions(text, text) is 'Raises 22023 with the JSON path of what is wrong in the parameter dimensions.';
