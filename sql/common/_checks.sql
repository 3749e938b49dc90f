-- Blank is ASCII white space. The vertical tab is written \x0b: before PostgreSQL 16, \v is the letter v.
create or replace function _check_subject(subject text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if subject is null then
        raise exception using errcode = '22004', message = 'subject is null', column = 'subject',
            hint = 'Name who consumed: an account, a user, an API key.';
    elsif btrim(subject, E' \t\n\r\f\x0b') = '' then
        raise exception using errcode = '22023', message = 'subject is blank', column = 'subject',
            hint = 'Name who consumed: an account, a user, an API key.';
    end if;
end
$$;

comment on function _check_subject(text) is 'Refuses a null (22004) or blank (22023) subject of a question.';

-- Blank is ASCII white space. The vertical tab is written \x0b: before PostgreSQL 16, \v is the letter v.
create or replace function _check_name(parameter text, value text, max_length integer)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if value is null then
        raise exception using errcode = '22004', message = 'a name is null', column = parameter,
            detail = format('%s is null.', parameter), hint = format('Give %s.', parameter);
    elsif btrim(value, E' \t\n\r\f\x0b') = '' or length(value) > max_length then
        raise exception using errcode = '22023', message = 'a name is blank or too long', column = parameter,
            detail = format('%s %s.', parameter, quote_literal(left(value, 80))),
            hint = format('Give 1 to %s characters.', max_length);
    end if;
end
$$;

comment on function _check_name(text, text, integer) is
    'Refuses a null (22004), blank or long (22023) value of a parameter that names something.';

-- The years that every client's calendar has: Python's, for one, ends with 9999.
create or replace function _check_time(parameter text, value timestamptz)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if not isfinite(value)
        or value < timestamptz '0001-01-02 00:00:00+00' or value >= timestamptz '9999-12-31 00:00:00+00' then
        raise exception using
            errcode = '22023', message = 'a time is infinite or outside the years 1 to 9999', column = parameter,
            detail = format('%s %s.', parameter, to_char(value at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS BC')),
            hint = 'Give a finite time; leave since or until null for a window that is open on that side.';
    end if;
end
$$;

comment on function _check_time(text, timestamptz) is
    'Refuses (22023) an infinite or absurd time given for a parameter; null passes.';

create or replace function _check_moment(parameter text, value timestamptz)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if value is null then
        raise exception using errcode = '22004', message = 'a time is null', column = parameter,
            detail = format('%s is null.', parameter), hint = 'Give an instant; leave the parameter out where it has a default.';
    end if;
    perform _check_time(parameter, value);
end
$$;

comment on function _check_moment(text, timestamptz) is 'Refuses a null (22004), infinite or absurd (22023) time where one is needed.';

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
            detail = format('max_rows %s.', max_rows), hint = 'Give a number from 1 to 10000, and page through what is more.';
    end if;
end
$$;

comment on function _check_max_rows(integer) is 'Refuses a null (22004) or absurd (22023) number of rows.';

create or replace function _check_scope(subject text, metric text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if subject is not null then
        perform _check_subject(subject);
    end if;
    if metric is not null then
        perform _metric(metric);
    end if;
end
$$;

comment on function _check_scope(text, text) is
    'Refuses a blank subject (22023) and an unknown metric (UM001) of verify() and rebuild(); null means all.';

create or replace function _metric(key text)
returns metrics
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics;
begin
    if _metric.key is null then
        raise exception using errcode = '22004', message = 'metric is null', column = 'metric', hint = 'Name a metric of catalog().';
    end if;
    select * into v_metric from metrics where key = _metric.key;
    if v_metric.key is null then
        raise exception using
            errcode = 'UM001', message = 'unknown metric', column = 'metric',
            detail = format('metric %s.', quote_literal(left(_metric.key, 80))),
            hint = (select hint from _problems() where code = 'metric_unknown');
    end if;
    return v_metric;
end
$$;

comment on function _metric(text) is 'The definition of a metric, for reading. Raises 22004 for null, UM001 if there is none.';
