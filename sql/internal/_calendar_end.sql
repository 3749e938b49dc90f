create or replace function _calendar_end(unit text, bucket_start timestamptz, timezone text)
returns timestamptz
language plpgsql
stable parallel safe
set search_path from current
as $$
begin
    if timezone = 'UTC' then
        return _bucket_end(unit, bucket_start);
    end if;
    if unit in ('minute', 'hour') then
        return least(
            bucket_start + case unit when 'hour' then interval '1 hour' else interval '1 minute' end,
            _calendar_end('day', _calendar_start('day', bucket_start, timezone), timezone));
    end if;
    -- Truncated first: where clocks skip midnight, the day starts at one o'clock, but the next one does not.
    return (date_trunc(unit, bucket_start at time zone timezone) + ('1 ' || unit)::interval) at time zone timezone;
end
$$;

comment on function _calendar_end(text, timestamptz, text) is
    'The end of the calendar bucket that starts at bucket_start, in a time zone: the start of the next one.';
