-- One check for each kind of argument. MESSAGE names the parameter and no value, so it is a constant for each parameter.

-- ASCII white space. The vertical tab is \x0b, because \v is the letter v before PostgreSQL 16. Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_blank(value text)
returns boolean
language sql
immutable parallel safe
as $$
    select btrim(value, E' \t\n\r\f\x0b') = ''
$$;

comment on function _is_blank(text) is 'Whether a text is empty or only white space.';

create or replace function _check_name(parameter text, value text, max_length integer default null)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if value is null then
        raise exception using errcode = '22004', message = format('%s is null', parameter), column = parameter,
            hint = format('Pass a value for %s.', parameter);
    elsif _is_blank(value) then
        raise exception using errcode = '22023', message = format('%s is blank', parameter), column = parameter,
            detail = format('%s %s.', parameter, quote_literal(left(value, 80))),
            hint = format('Pass %s with at least one visible character.', parameter);
    elsif length(value) > max_length then
        raise exception using errcode = '22023', message = format('%s is too long', parameter), column = parameter,
            detail = format('%s %s.', parameter, quote_literal(left(value, 80))), hint = format('Give 1 to %s characters.', max_length);
    end if;
end
$$;

comment on function _check_name(text, text, integer) is
    'Raises 22004 for a null, 22023 for a blank or too long value of a parameter; max_length null: any length.';

create or replace function _check_word(parameter text, value text, words text[])
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if value is null then
        raise exception using errcode = '22004', message = format('%s is null', parameter), column = parameter,
            hint = format('Use one of: %s.', array_to_string(words, ', '));
    elsif value <> all (words) then
        raise exception using errcode = '22023', message = format('unknown %s', parameter), column = parameter,
            detail = format('%s %s.', parameter, quote_literal(left(value, 80))),
            hint = format('Use one of: %s.', array_to_string(words, ', '));
    end if;
end
$$;

comment on function _check_word(text, text, text[]) is
    'Raises 22004 for a null, 22023 for an unknown value of a parameter that takes one of a few words.';

-- The years that the calendars of all clients have: Python's ends with 9999.
create or replace function _check_time(parameter text, value timestamptz, required boolean default false)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if required and value is null then
        raise exception using errcode = '22004', message = format('%s is null', parameter), column = parameter,
            hint = 'Give an instant, or leave the parameter out where it has a default.';
    elsif not isfinite(value)
        or value < timestamptz '0001-01-02 00:00:00+00' or value >= timestamptz '9999-12-31 00:00:00+00' then
        raise exception using
            errcode = '22023', message = format('%s is infinite or outside the years 1 to 9999', parameter), column = parameter,
            detail = format('%s %s.', parameter, to_char(value at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS BC')),
            hint = 'Give a finite time. A window without since or until is open on that side.';
    end if;
end
$$;

comment on function _check_time(text, timestamptz, boolean) is
    'Raises 22023 for an infinite time or one outside the years 1 to 9999, and 22004 for a null if the parameter is required.';

create or replace function _check_max_rows(max_rows integer)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if max_rows is null then
        raise exception using errcode = '22004', message = 'max_rows is null', column = 'max_rows',
            hint = 'Give a number from 1 to 10000.';
    elsif max_rows not between 1 and 10000 then
        raise exception using errcode = '22023', message = 'max_rows is out of range', column = 'max_rows',
            detail = format('max_rows %s.', max_rows), hint = 'Give a number from 1 to 10000, and read further rows page by page.';
    end if;
end
$$;

comment on function _check_max_rows(integer) is 'Raises 22004 for a null number of rows, 22023 for one outside 1 to 10000.';

create or replace function _check_scope(subject text, metric text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if subject is not null then
        perform _check_name('subject', subject), _check_here(subject);
    end if;
    if metric is not null then
        perform _get_metric(metric);
    end if;
end
$$;

comment on function _check_scope(text, text) is
    'Checks the arguments of verify() and rebuild(): raises 22023 for a blank subject, UM001 for an unknown metric, UM008 as '
    '_check_here(); null means all.';

create or replace function _get_metric(key text)
returns metrics
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics;
begin
    if _get_metric.key is null then
        raise exception using errcode = '22004', message = 'metric is null', column = 'metric', hint = 'Name a metric of catalog().';
    end if;
    select * into v_metric from metrics where key = _get_metric.key;
    if v_metric.key is null then
        raise exception using
            errcode = 'UM001', message = 'unknown metric', column = 'metric',
            detail = format('metric %s.', quote_literal(left(_get_metric.key, 80))),
            hint = (select hint from _problems() where code = 'metric_unknown');
    end if;
    return v_metric;
end
$$;

comment on function _get_metric(text) is 'The definition of a metric. Raises 22004 for a null key, UM001 for an unknown metric.';
