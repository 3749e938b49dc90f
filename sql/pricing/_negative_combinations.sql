-- An adjustment has no metadata, so it takes from usage without dimensions. There it may be all that there is: then it lowers nothing, and an invoice
-- that does not say so is too high. With a cell, the line says so; without one, nobody knows what it is worth.
create or replace function _note_negative(price compiled_price, combinations jsonb, lines rated_line[])
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_lines rated_line[] := lines;
    v_one   record;
begin
    for v_one in
        select c.*, _find_cell(price.cells, c.conditions) is not null as has_cell, coalesce((
                   select string_agg(w.key || ' ' || w.value, ', ' order by w.key collate "C") from jsonb_each_text(c.conditions) w),
                   'usage without dimensions') as name
        from (
            select e -> 'when' as conditions, (e ->> 'quantity')::numeric as quantity, (e ->> 'billed')::numeric as billed
            from jsonb_array_elements(combinations) e
        ) c
        where c.billed + c.quantity < 0
        order by c.conditions::text collate "C"
    loop
        if not v_one.has_cell and v_one.quantity <> 0 then
            v_lines := v_lines || (null, trim_scale(v_one.quantity), null, null, null, format(
                'error: no cell for %s; it is negative: %s', v_one.name, trim_scale(v_one.billed + v_one.quantity)))::rated_line;
        elsif v_one.has_cell and cardinality(v_lines) > 0 then
            v_lines[1].explanation := v_lines[1].explanation || format('; %s is negative: %s',
                case when v_one.conditions = '{}' then v_one.name else 'the usage of ' || v_one.name end,
                trim_scale(v_one.billed + v_one.quantity));
        end if;
    end loop;
    return v_lines;
end
$$;

comment on function _note_negative(compiled_price, jsonb, rated_line[]) is
    'The lines of a matrix for a segment, which say so where the usage of a combination is negative: it counts as 0. One without a cell has a line '
    'with the amount null.';
