create or replace function _check_timezone(timezone text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if timezone is null then
        raise exception using errcode = '22004', message = 'timezone is null', column = 'timezone',
            hint = 'Name a time zone such as UTC or America/New_York.';
    elsif timezone <> 'UTC' then
        perform now() at time zone timezone;
    end if;
exception when invalid_parameter_value then
    raise exception using errcode = '22023', message = 'unknown time zone', column = 'timezone',
        detail = format('timezone %s.', quote_literal(left(timezone, 80))),
        hint = 'Use a name of the IANA database, such as America/New_York: SELECT name FROM pg_timezone_names.';
end
$$;

comment on function _check_timezone(text) is 'Refuses a null (22004) or unknown (22023) time zone.';
