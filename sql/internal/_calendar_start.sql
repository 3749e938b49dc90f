-- Boundaries are those of local days, so that windows tile in every zone. Two things need care:
-- * Where clocks are set back across midnight, local midnight comes twice and PostgreSQL picks the later one; an instant between
--   the two then belongs to the bucket before.
-- * Hours and minutes are counted from the start of the local day: where clocks change by half an hour (Lord Howe Island), cutting
--   at full local hours would let buckets overlap. Everywhere else the two are the same.
create or replace function _calendar_start(unit text, at timestamptz, timezone text)
returns timestamptz
language plpgsql
stable parallel safe
set search_path from current
as $$
declare
    v_start timestamptz;
begin
    if timezone = 'UTC' then
        return _bucket_start(unit, at);
    end if;
    if unit in ('minute', 'hour') then
        v_start := _calendar_start('day', at, timezone);
        return v_start + case unit
            when 'hour' then make_interval(hours => floor(extract(epoch from at - v_start) / 3600)::int)
            else make_interval(mins => floor(extract(epoch from at - v_start) / 60)::int)
        end;
    end if;
    v_start := date_trunc(unit, at at time zone timezone) at time zone timezone;
    if v_start > at then
        v_start := (date_trunc(unit, at at time zone timezone) - ('1 ' || unit)::interval) at time zone timezone;
    end if;
    return v_start;
end
$$;

comment on function _calendar_start(text, timestamptz, text) is
    'The start of the calendar bucket (minute, hour, day, week, month, year) that an instant lies in, in a time zone.';
