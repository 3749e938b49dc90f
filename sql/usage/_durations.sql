-- Only the months are added in local time: when clocks are set back, a local time occurs twice, and converting there and back may return
-- the other instant. UTC is written as Etc/UTC, see _check_timezone().
create or replace function _add_duration(at timestamptz, duration interval, times int, timezone text)
returns timestamptz
language sql
stable parallel safe
as $$
    select case
            when extract(year from duration) = 0 and extract(month from duration) = 0 then at
            else (at at time zone case timezone when 'UTC' then 'Etc/UTC' else timezone end
                    + make_interval(months => times * (extract(year from duration) * 12 + extract(month from duration))::int))
                at time zone case timezone when 'UTC' then 'Etc/UTC' else timezone end
        end
        + times * (duration - make_interval(months => (extract(year from duration) * 12 + extract(month from duration))::int))
$$;

comment on function _add_duration(timestamptz, interval, int, text) is
    'Returns the instant that is `times` durations later, or earlier if times is negative. Months are added first, by the calendar of '
    'the time zone and clamped to the last day of the month; then the rest, as elapsed time.';

-- Months and years are counted as months, which have no fixed length. The rest is counted in seconds: a day is 24 hours, a week 168.
create or replace function _parse_duration(duration text)
returns interval
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_amount   bigint;
    v_unit     text;
    v_months   bigint := 0;
    v_seconds  bigint := 0;
begin
    if duration collate "C" !~ '^ *([0-9]{1,9} *[A-Za-z]+ *)+$' or length(duration) > 200 then
        return null;
    end if;
    for v_amount, v_unit in select m[1], lower(m[2] collate "C") from regexp_matches(duration, '([0-9]+) *([A-Za-z]+)', 'g') as m loop
        case
            when v_unit in ('s', 'sec', 'secs', 'second', 'seconds') then v_seconds := v_seconds + v_amount;
            when v_unit in ('m', 'min', 'mins', 'minute', 'minutes') then v_seconds := v_seconds + v_amount * 60;
            when v_unit in ('h', 'hr', 'hrs', 'hour', 'hours') then v_seconds := v_seconds + v_amount * 3600;
            when v_unit in ('d', 'day', 'days') then v_seconds := v_seconds + v_amount * 86400;
            when v_unit in ('w', 'week', 'weeks') then v_seconds := v_seconds + v_amount * 604800;
            when v_unit in ('mo', 'mon', 'mons', 'month', 'months') then v_months := v_months + v_amount;
            when v_unit in ('y', 'yr', 'yrs', 'year', 'years') then v_months := v_months + v_amount * 12;
            else return null;
        end case;
    end loop;
    -- At most 1,000 years, which keeps every result within the range of timestamptz.
    if (v_months = 0 and v_seconds = 0) or v_months > 12000 or v_seconds > 31557600000 then
        return null;
    end if;
    return make_interval(months => v_months::int, secs => v_seconds);
end
$$;

comment on function _parse_duration(text) is
    'Returns a duration such as 15m, 90 minutes, 30 days, 2 weeks, 2 months, 1 year or 1h 30m as months and seconds. Returns null if '
    'the text is no duration, is zero, or is longer than 1,000 years. A day is 24 hours.';
