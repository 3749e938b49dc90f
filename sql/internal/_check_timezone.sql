create or replace function _check_timezone(timezone text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if timezone = 'UTC' then
        return;
    elsif timezone is null then
        raise exception using errcode = '22004', message = 'timezone is null', column = 'timezone',
            hint = 'Name a time zone such as UTC or America/New_York.';
    end if;
    -- A block of its own: one that catches exceptions costs a subtransaction, which UTC need not pay.
    begin
        -- Names only: PostgreSQL also reads +05:30 and FOO+5, but by POSIX, where + means west of Greenwich.
        if timezone !~ ('^([A-Za-z][A-Za-z_-]*(/[A-Za-z][A-Za-z_-]*)*|(Etc/)?GMT[+-]?0|Etc/GMT[+-][0-9]{1,2}'
            '|EST5EDT|CST6CDT|MST7MDT|PST8PDT)$') then
            raise invalid_parameter_value;
        end if;
        perform now() at time zone timezone;
    exception when invalid_parameter_value then
        raise exception using errcode = '22023', message = 'unknown time zone', column = 'timezone',
            detail = format('timezone %s.', quote_literal(left(timezone, 80))),
            hint = 'Use a name of the IANA database, such as America/New_York: SELECT name FROM pg_timezone_names.';
    end;
end
$$;

comment on function _check_timezone(text) is 'Refuses a null (22004) or unknown (22023) time zone.';
