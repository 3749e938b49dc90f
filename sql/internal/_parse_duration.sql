-- Months and years are kept apart from the rest: they step by calendar, while a day is 24 hours and a week 168.
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
    -- Nobody looks back more than a thousand years, and this keeps every result inside the calendar.
    if (v_months = 0 and v_seconds = 0) or v_months > 12000 or v_seconds > 31557600000 then
        return null;
    end if;
    return make_interval(months => v_months::int, secs => v_seconds);
end
$$;

comment on function _parse_duration(text) is
    'A duration such as 15m, 90 minutes, 30 days, 2 weeks, 2 months, 1 year or 1h 30m as months and seconds; null if it is none, '
    'is zero, or is longer than 1000 years. A day is 24 hours.';
