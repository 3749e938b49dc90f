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
