-- The fields of a price by model: required ones first. Inlined: no SET, nothing outside pg_catalog.
create or replace function _required_fields(model text)
returns text[]
language sql
immutable parallel safe
as $$
    select case model
        when 'unit' then '{model,unit_amount}'::text[]
        when 'flat' then '{model,flat_amount}'::text[]
        when 'package' then '{model,package_size,unit_amount}'::text[]
        when 'graduated' then '{model,tiers}'::text[]
        when 'volume' then '{model,tiers}'::text[]
        when 'percentage' then '{model,percent}'::text[]
        when 'matrix' then '{model,dimensions,cells}'::text[]
    end
$$;

comment on function _required_fields(text) is 'The fields that a price of a model must have; null for an unknown model.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _optional_fields(model text)
returns text[]
language sql
immutable parallel safe
as $$
    select case
        when model in ('graduated', 'volume')
            then '{currency,convert,free_units,discount_percent,maximum_amount,minimum_amount,flat_at_zero}'::text[]
        when model = 'percentage'
            then '{currency,convert,free_units,discount_percent,maximum_amount,minimum_amount,fixed_amount,free_events}'::text[]
        else '{currency,convert,free_units,discount_percent,maximum_amount,minimum_amount}'::text[]
    end
$$;

comment on function _optional_fields(text) is 'The other fields that a price of a model may have.';

-- Inlined: no SET, nothing outside pg_catalog. The text is matched before it is cast, so that no cast fails. That of a number in JSON is the
-- number; that of true, of an array or of an object does not match.
create or replace function _json_number(document jsonb, field text)
returns numeric
language sql
immutable parallel safe
as $$
    select case
        when length(document ->> field) <= 210 and document ->> field ~ '^(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$'
            then (document ->> field)::numeric
    end
$$;

comment on function _json_number(jsonb, text) is
    'The value of a field with a number that is not negative, or a string with one; null for anything else.';

-- Inlined: no SET, nothing outside pg_catalog. Almost every number is decided by the first line.
create or replace function _is_money(value numeric)
returns boolean
language sql
immutable parallel safe
as $$
    select value >= 0 and (value < 1e50 and scale(value) <= 50
        or value < 1e100 and length(replace(ltrim(trim_scale(value)::text, '0'), '.', '')) <= 100)
$$;

comment on function _is_money(numeric) is
    'Whether a number may stand in a price: not negative, with at most 100 digits; null for a null.';

create or replace function _read_number(price jsonb, path text, field text)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_value numeric := _json_number(_read_number.price, _read_number.field);
begin
    if _is_money(v_value) is not true then
        perform _refuse_price(_read_number.path || '.' || _read_number.field, 'number', _read_number.price -> _read_number.field);
    end if;
    return v_value;
end
$$;

comment on function _read_number(jsonb, text, text) is
    'The number in a field of a price. Raises 22023 if it is missing, negative, has more than 100 digits or is no number.';
