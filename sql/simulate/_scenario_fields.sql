create or replace function _scenario_problems()
returns table (problem text, detail text, hint text)
language sql
immutable parallel safe
set search_path from current
as $$
    values
        ('object', 'is not an object', 'Write a JSON object. sql/simulate/README.md lists the fields.'),
        ('missing', 'is missing', 'Add the field. sql/simulate/README.md lists the fields.'),
        ('unknown', 'is not a field here', 'Remove the field, or correct its name. sql/simulate/README.md lists the fields.'),
        ('array', 'is not an array of at most 1000 elements', 'Write an array, such as [].'),
        ('text', 'is not a text of 1 to 512 characters, one of them visible', 'Write a text in quotes.'),
        ('number', 'is not a number of at most 100 digits that is not negative', 'Write a number from 0, or a string with one, such as "0.002".'),
        ('signed', 'is not a number of at most 100 digits', 'Write a number, or a string with one, such as "0.002".'),
        ('whole', 'is not a whole number, or too large', 'Write a whole number, such as 3.'),
        ('share', 'is not from 0 to 1', 'Write a share, such as 0.01 for 1 %.'),
        ('percent', 'is not from 0 to 1000 with at most 20 decimals', 'Write 19 for 19 %.'),
        ('positive', 'is not above 0', 'Write a number above 0.'),
        ('boolean', 'is not true or false', 'Write true or false, without quotes.'),
        ('time', 'is not a time with a UTC offset, or a date, in the years 1 to 9998', 'Write 2026-06-01, which is midnight UTC, or '
            '2026-06-01T00:00:00Z.'),
        ('value', 'is not a text, a number, true or false', 'Write the value that the metadata of the events would have.'),
        ('word', 'is not one of the words that are allowed here', 'sql/simulate/README.md lists them.'),
        ('timezone', 'is not the name of a time zone', 'Write UTC, or a name such as Europe/Berlin.'),
        ('window', 'is missing, or not after the beginning', 'Give both ends of the period, the later one last; or neither.'),
        ('late', 'is too late: the cycle after it ends after the year 9999', 'Write an earlier time.'),
        ('currency', 'is not the currency of the scenario', 'A scenario has one currency. There is no exchange rate in here.'),
        ('code', 'is not a current code of ISO 4217', 'Write three capital letters, such as EUR.'),
        ('fee', 'has a model that a fixed fee cannot have', 'Add the metric whose usage the price is of, or use the model flat.'),
        ('values', 'is a matrix, which needs a metric of sum or count', 'Use another model, or another aggregate.'),
        ('overlap', 'overlaps another line of the same plan and item', 'Give the lines since and until, so that one follows the other.'),
        ('cut', 'goes beyond the period, or beyond the time of a price', 'Split the usage where a price begins or ends; give each part since and '
            'until.'),
        ('twice', 'is given twice', 'Give it once.'),
        ('item', 'is not a line with a price of the metric', 'Name a line of prices, or leave item out: it then counts for all lines of the metric.'),
        ('line', 'is not a line of the plan that has a price then', 'prices() lists the lines of a plan.'),
        ('event_count', 'is missing: the price has an amount for each event', 'Add the number of events of the quantity.'),
        ('decimals', 'has more decimals than the currency', 'Write an amount of money, such as 9.99.'),
        ('unused', 'is not a field of this model', 'Remove the field, or use another model.'),
        ('last', 'ends the last tier, which must be open', 'Write null in the last tier, or add a tier.'),
        ('ascending', 'is not above the tier before', 'Write the tiers in ascending order; only the last one has null.'),
        ('below', 'is below the minimum', 'Raise the maximum or lower the minimum.'),
        ('left', 'is more than amount', 'Write at most what the credit or the commitment was at first.')
$$;

comment on function _scenario_problems() is 'What can be wrong with a field of a scenario: what DETAIL says of the field, and the HINT.';

create or replace function _refuse_scenario(path text, problem text, value jsonb default null)
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_problem record;
begin
    select p.detail, p.hint into v_problem from _scenario_problems() p where p.problem = _refuse_scenario.problem;
    raise exception using
        errcode = '22023', message = 'invalid scenario', column = 'scenario', hint = v_problem.hint,
        detail = format('%s %s%s.', left(_refuse_scenario.path, 200), v_problem.detail,
                        coalesce(': ' || left(_refuse_scenario.value::text, 80), ''));
end
$$;

comment on function _refuse_scenario(text, text, jsonb) is 'Raises 22023 with the JSON path of a field and what is wrong with it.';

-- A field that is null is one that is missing.
create or replace function _check_scenario_fields(document jsonb, path text, required text[], optional text[])
returns void
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_field text;
begin
    if jsonb_typeof(document) <> 'object' then
        perform _refuse_scenario(path, 'object', document);
    end if;
    select f into v_field from jsonb_object_keys(document) f where f <> all (required || optional) order by f collate "C" limit 1;
    if v_field is not null then
        perform _refuse_scenario(_json_path(path, v_field), 'unknown');
    end if;
    select f into v_field from unnest(required) f where coalesce(document -> f, 'null') = 'null' limit 1;
    if v_field is not null then
        perform _refuse_scenario(path || '.' || v_field, 'missing');
    end if;
end
$$;

comment on function _check_scenario_fields(jsonb, text, text[], text[]) is
    'Raises 22023 for what is not an object, a field that is neither required nor optional, and a required one that is missing.';

create or replace function _scenario_array(document jsonb, path text, field text)
returns jsonb
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_array jsonb := coalesce(nullif(document -> field, 'null'), '[]');
begin
    if (case when jsonb_typeof(v_array) = 'array' then jsonb_array_length(v_array) > 1000 else true end) then
        perform _refuse_scenario(path || '.' || field, 'array', case when jsonb_typeof(v_array) <> 'array' then v_array end);
    end if;
    return v_array;
end
$$;

comment on function _scenario_array(jsonb, text, text) is
    'The array in a field of a scenario, empty if it is missing. Raises 22023 for anything else, and for more than 1000 elements.';
