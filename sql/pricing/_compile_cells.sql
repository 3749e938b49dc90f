create or replace function _compile_cells(price jsonb, path text)
returns jsonb
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_dimensions jsonb := price -> 'dimensions';
    v_cells      jsonb := price -> 'cells';
    v_cell       jsonb;
    v_path       text;
    v_compiled   jsonb[] := '{}';
begin
    if (case when jsonb_typeof(v_dimensions) = 'array' then jsonb_array_length(v_dimensions) not between 1 and 20 or exists (
            select from jsonb_array_elements(v_dimensions) d
            where jsonb_typeof(d) <> 'string' or _is_blank(d #>> '{}') or length(d #>> '{}') > 200)
            or (select count(distinct d) from jsonb_array_elements(v_dimensions) d) <> jsonb_array_length(v_dimensions)
        else true end) then
        perform _refuse_price(path || '.dimensions', 'dimensions', v_dimensions);
    elsif (case when jsonb_typeof(v_cells) = 'array' then jsonb_array_length(v_cells) not between 1 and 1000 else true end) then
        perform _refuse_price(path || '.cells', 'cells', v_cells);
    end if;
    for v_index in 0 .. jsonb_array_length(v_cells) - 1 loop
        v_cell := v_cells -> v_index;
        v_path := format('%s.cells[%s]', path, v_index);
        if jsonb_typeof(v_cell) <> 'object' then
            perform _refuse_price(v_path, 'object', v_cell);
        elsif not v_cell ? 'when' then
            perform _refuse_price(v_path || '.when', 'missing');
        end if;
        v_compiled := v_compiled || jsonb_build_object(
            'when', _compile_when(v_cell -> 'when', v_path || '.when', v_dimensions), 'price', _cell_price(v_cell, v_path, price));
    end loop;
    perform _check_ties(v_compiled, path);
    return to_jsonb(v_compiled);
end
$$;

comment on function _compile_cells(jsonb, text) is
    'Checks the dimensions and cells of a matrix, each cell''s price too, and returns the cells with the fields when and price. Raises 22023 with '
    'the path of the first field that is wrong.';

create or replace function _compile_when(conditions jsonb, path text, dimensions jsonb)
returns jsonb
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_wrong record;
begin
    if jsonb_typeof(conditions) <> 'object' then
        perform _refuse_price(path, 'when', conditions);
    end if;
    select c.key, c.value, dimensions ? c.key as is_known into v_wrong
    from jsonb_each(conditions) c
    where not dimensions ? c.key or jsonb_typeof(c.value) not in ('string', 'number', 'boolean')
    order by c.key collate "C"
    limit 1;
    if found then
        perform _refuse_price(_json_path(path, v_wrong.key), case when v_wrong.is_known then 'value' else 'dimension' end,
            case when v_wrong.is_known then v_wrong.value end);
    end if;
    return (select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each_text(conditions) c where c.value <> '*');
end
$$;

comment on function _compile_when(jsonb, text, jsonb) is
    'The conditions of a cell: the text of each value that is not *. Raises 22023 for a dimension that the matrix does not have, and for a value '
    'that is no text, number or boolean.';

create or replace function _cell_price(cell jsonb, path text, matrix jsonb)
returns jsonb
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_price jsonb := cell - 'when';
    v_path  text := path;
begin
    if cell ? 'price' then
        v_price := cell -> 'price';
        v_path := path || '.price';
        if jsonb_typeof(v_price) <> 'object' then
            perform _refuse_price(v_path, 'object', v_price);
        elsif cell - '{when,price}'::text[] <> '{}' then
            perform _refuse_price(_json_path(path, (select f from jsonb_object_keys(cell) f where f not in ('when', 'price') limit 1)), 'unknown');
        end if;
    end if;
    if v_price -> 'model' = '"matrix"' then
        perform _refuse_price(v_path || '.model', 'nested');
    elsif v_price ? 'currency' then
        perform _refuse_price(v_path || '.currency', 'unknown');
    end if;
    v_price := '{"model": "unit"}' || v_price;
    perform _compile_price(v_price, v_path);
    return (select coalesce(jsonb_object_agg(m.key, m.value), '{}') from jsonb_each(matrix) m where m.key in ('convert', 'free_units')) || v_price;
end
$$;

comment on function _cell_price(jsonb, text, jsonb) is
    'The price of a cell: its field price, or its own fields; unit is the model unless it names one, and convert and free_units are the matrix''s '
    'unless it has its own. Raises 22023 with the path of the first field that is wrong.';

-- Two cells of one specificity are tied if a combination fits both, unless a more specific cell takes every such combination.
create or replace function _check_ties(cells jsonb[], path text)
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_tied bigint;
begin
    select max(c.n) into v_tied from unnest(cells) with ordinality c (cell, n) group by c.cell -> 'when' having count(*) > 1 limit 1;
    if v_tied is null then
        with cell as materialized (
            select c.n, c.cell -> 'when' as conditions, k.names, cardinality(k.names) as keys
            from unnest(cells) with ordinality c (cell, n)
            cross join lateral (select array(select k from jsonb_object_keys(c.cell -> 'when') k order by k collate "C") as names) k
        )
        select b.n into v_tied
        from (select distinct names, keys from cell) x
        join (select distinct names, keys from cell) y on y.keys = x.keys and y.names <> x.names
        join cell a on a.names = x.names
        join cell b on b.names = y.names and b.n > a.n and (a.conditions || b.conditions) @> a.conditions
        where not exists (select from cell c where c.keys > a.keys and (a.conditions || b.conditions) @> c.conditions)
        order by b.n
        limit 1;
    end if;
    if v_tied is not null then
        perform _refuse_price(format('%s.cells[%s].when', path, v_tied - 1), 'tie', cells[v_tied] -> 'when');
    end if;
end
$$;

comment on function _check_ties(jsonb[], text) is
    'Raises 22023 if a combination fits two cells of a matrix that are equally specific. conditions of cells are those of _compile_when().';
