-- No window given means the metric's own current period, in the time zone asked for.
create or replace function _window(
    metric_period text, period text, since timestamptz, until timestamptz, timezone text, now timestamptz
)
returns tstzrange
language plpgsql
stable
set search_path from current
as $$
begin
    return resolve_window(
        case when _window.period is null and _window.since is null and _window.until is null
             then _window.metric_period else _window.period end,
        _window.since, _window.until, _window.timezone, _window.now);
end
$$;

comment on function _window(text, text, timestamptz, timestamptz, text, timestamptz) is
    'resolve_window(), where no window at all means the current period of a metric with that period.';

-- Only months are counted in local time: where clocks are set back, a local time comes twice, and that of an instant may lead to the
-- other one. UTC is written Etc/UTC, see _check_timezone().
create or replace function _step(at timestamptz, duration interval, times int, timezone text)
returns timestamptz
language sql
stable parallel safe
as $$
    select case
            when extract(year from duration) = 0 and extract(month from duration) = 0 then at
            else (at at time zone coalesce(nullif(timezone, 'UTC'), 'Etc/UTC')
                    + make_interval(months => times * (extract(year from duration) * 12 + extract(month from duration))::int))
                at time zone coalesce(nullif(timezone, 'UTC'), 'Etc/UTC')
        end
        + times * (duration - make_interval(months => (extract(year from duration) * 12 + extract(month from duration))::int))
$$;

comment on function _step(timestamptz, interval, int, text) is
    'An instant that many durations later (earlier, if negative): first the months by the calendar of the time zone, clamped to the '
    'month''s last day, then the rest by the clock.';

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
