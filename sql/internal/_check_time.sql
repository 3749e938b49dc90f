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
