-- The values of fields. A field that is missing, or null, has the value null.
create or replace function _scenario_text(document jsonb, path text, field text)
returns text
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_text text := document ->> field;
begin
    if v_text is not null and (jsonb_typeof(document -> field) <> 'string' or _is_blank(v_text) or length(v_text) > 512) then
        perform _refuse_scenario(path || '.' || field, 'text', document -> field);
    end if;
    return v_text;
end
$$;

comment on function _scenario_text(jsonb, text, text) is 'The text in a field of a scenario. Raises 22023 for anything else.';

create or replace function _scenario_word(document jsonb, path text, field text, words text[])
returns text
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_word text := document ->> field;
begin
    if v_word is not null and (jsonb_typeof(document -> field) <> 'string' or v_word <> all (words)) then
        perform _refuse_scenario(path || '.' || field, 'word', document -> field);
    end if;
    return v_word;
end
$$;

comment on function _scenario_word(jsonb, text, text, text[]) is 'One of these words in a field of a scenario. Raises 22023 for anything else.';

create or replace function _scenario_boolean(document jsonb, path text, field text)
returns boolean
language plpgsql
immutable parallel safe
set search_path from current
as $$
begin
    if jsonb_typeof(document -> field) not in ('boolean', 'null') then
        perform _refuse_scenario(path || '.' || field, 'boolean', document -> field);
    end if;
    return (document ->> field)::boolean;
end
$$;

comment on function _scenario_boolean(jsonb, text, text) is 'The boolean in a field of a scenario. Raises 22023 for anything else.';

create or replace function _scenario_number(document jsonb, path text, field text)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_value numeric := trim_scale(_json_number(document, field));
begin
    if jsonb_typeof(document -> field) <> 'null' and _is_money(v_value) is not true then
        perform _refuse_scenario(path || '.' || field, 'number', document -> field);
    end if;
    return v_value;
end
$$;

comment on function _scenario_number(jsonb, text, text) is
    'The number from 0 in a field of a scenario, without zeros at its end. Raises 22023 if it is negative, has more than 100 digits or is no number.';

create or replace function _scenario_signed(document jsonb, path text, field text)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_value numeric := _json_number(jsonb_build_object(field, regexp_replace(document ->> field, '^-', '')), field);
begin
    if jsonb_typeof(document -> field) <> 'null' and _is_money(v_value) is not true then
        perform _refuse_scenario(path || '.' || field, 'signed', document -> field);
    end if;
    return case when document ->> field like '-%' then - v_value else v_value end;
end
$$;

comment on function _scenario_signed(jsonb, text, text) is
    'The number in a field of a scenario, which may be negative. Raises 22023 if it has more than 100 digits or is no number.';

create or replace function _scenario_integer(document jsonb, path text, field text, below numeric default 1e15)
returns bigint
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_value numeric := _scenario_signed(document, path, field);
begin
    if v_value <> trunc(v_value) or abs(v_value) >= below then
        perform _refuse_scenario(path || '.' || field, 'whole', document -> field);
    end if;
    return v_value::bigint;
end
$$;

comment on function _scenario_integer(jsonb, text, text, numeric) is
    'The whole number in a field of a scenario. Raises 22023 for anything else, and for what is not nearer to 0 than below.';

-- The last year is left to the cycle after the period.
create or replace function _scenario_time(document jsonb, path text, field text)
returns timestamptz
language plpgsql
stable parallel safe
set search_path from current
as $$
declare
    v_text text := document ->> field;
    v_time timestamptz;
begin
    if v_text is null then
        return null;
    end if;
    v_time := _parse_time(case when v_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then v_text || 'T00:00:00Z' else v_text end);
    if jsonb_typeof(document -> field) <> 'string' or (v_time >= timestamptz '0001-01-02 00:00:00+00'
        and v_time < timestamptz '9999-01-01 00:00:00+00') is not true then
        perform _refuse_scenario(path || '.' || field, 'time', document -> field);
    end if;
    return v_time;
end
$$;

comment on function _scenario_time(jsonb, text, text) is
    'The time in a field of a scenario: ISO 8601 with an offset, or a date, which is midnight in UTC. Raises 22023 for anything else.';
