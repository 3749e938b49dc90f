create or replace function _price_problems()
returns table (problem text, detail text, hint text)
language sql
immutable parallel safe
set search_path from current
as $$
    values
        ('object', 'is not an object', 'Write a JSON object, such as {"model": "unit", "unit_amount": "0.002"}.'),
        ('missing', 'is missing', 'Add the field.'),
        ('unknown', 'is not a field of this model', 'Remove the field, or correct its name. sql/pricing/README.md lists the fields of each model.'),
        ('per_event', 'would be an amount per event, which is not supported', 'Use minimum_amount and maximum_amount, of the whole period.'),
        ('model', 'is not a model', 'Use unit, flat, package, graduated, volume, percentage or matrix.'),
        ('nested', 'is a matrix in a cell', 'Use another model in the cell, and list all dimensions in the matrix.'),
        ('number', 'is not a number of at most 100 digits that is not negative',
            'Write a number from 0, or a string with one, such as "0.002". Credits and refunds are not prices.'),
        ('positive', 'is not above 0', 'Write a number above 0.'),
        ('whole', 'is not a whole number', 'Write a number of events, such as 100.'),
        ('hundred', 'is more than 100', 'Write a percentage from 0 to 100.'),
        ('boolean', 'is not true or false', 'Write true or false, without quotes.'),
        ('round', 'is not a way of rounding', 'Use up, down or none.'),
        ('currency', 'is not the code of a currency', 'Write three capital letters, such as EUR.'),
        ('tiers', 'is not an array of 1 to 1000 tiers', 'Write at least one tier: [{"up_to": null, "unit_amount": "0.002"}].'),
        ('last', 'ends the last tier, which must be open', 'Write "up_to": null in the last tier, or add a tier.'),
        ('open', 'is open, but tiers follow', 'Write a number; only the last tier has "up_to": null.'),
        ('ascending', 'is not above the tier before', 'Write the tiers in ascending order; the first ends above 0.'),
        ('below', 'is below minimum_amount', 'Raise maximum_amount or lower minimum_amount.'),
        ('dimensions', 'is not an array of 1 to 20 different names', 'List the metadata keys, such as ["model", "region"].'),
        ('cells', 'is not an array of 1 to 1000 cells', 'Write at least one cell: [{"when": {"model": "large"}, "unit_amount": "2"}].'),
        ('when', 'is not an object of values by dimension', 'Name a value for each dimension, * for any: {"model": "large", "region": "*"}.'),
        ('dimension', 'is not in dimensions', 'Add the key to dimensions of the matrix, or remove it here.'),
        ('value', 'is not a text, a number, true or false', 'Write the value that the metadata has, or "*" for any.'),
        ('tie', 'is as specific as another cell that fits the same combination',
            'Make one of them more specific, or add a cell for the combination that both fit.')
$$;

comment on function _price_problems() is 'What can be wrong with a field of a price: what DETAIL says of the field, and the HINT.';

create or replace function _refuse_price(path text, problem text, value jsonb default null)
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_problem record;
begin
    select p.detail, p.hint into v_problem from _price_problems() p where p.problem = _refuse_price.problem;
    raise exception using
        errcode = '22023', message = 'invalid price', column = 'price', hint = v_problem.hint,
        detail = format('%s %s%s.', left(_refuse_price.path, 200), v_problem.detail,
                        coalesce(': ' || left(_refuse_price.value::text, 80), ''));
end
$$;

comment on function _refuse_price(text, text, jsonb) is 'Raises 22023 with the JSON path of a field and what is wrong with it.';

create or replace function _refuse_fields(price jsonb, path text)
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_model  text := case when jsonb_typeof(_refuse_fields.price -> 'model') = 'string' then _refuse_fields.price ->> 'model' end;
    v_needed text[] := _required_fields(v_model);
    v_field  text;
begin
    if jsonb_typeof(_refuse_fields.price) <> 'object' then
        perform _refuse_price(_refuse_fields.path, 'object', _refuse_fields.price);
    elsif not _refuse_fields.price ? 'model' then
        perform _refuse_price(_refuse_fields.path || '.model', 'missing');
    elsif v_needed is null then
        perform _refuse_price(_refuse_fields.path || '.model', 'model', _refuse_fields.price -> 'model');
    end if;
    select f into v_field from jsonb_object_keys(_refuse_fields.price) f where f <> all (v_needed || _optional_fields(v_model)) limit 1;
    if v_field is not null then
        perform _refuse_price(_json_path(_refuse_fields.path, v_field),
            case when v_field ~ 'per_(event|transaction)' then 'per_event' else 'unknown' end);
    end if;
    select f into v_field from unnest(v_needed) f where not _refuse_fields.price ? f limit 1;
    if v_field is not null then
        perform _refuse_price(_refuse_fields.path || '.' || v_field, 'missing');
    end if;
end
$$;

comment on function _refuse_fields(jsonb, text) is
    'Raises 22023 for what is not an object, an unknown model, a field that the model does not have, and a field that is missing.';

create or replace function _json_path(path text, field text)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select path || case when field ~ '^[A-Za-z_][A-Za-z0-9_]*$' then '.' || field else '[' || to_jsonb(left(field, 80))::text || ']' end
$$;

comment on function _json_path(text, text) is 'The JSON path of a field whose name may be anything.';
