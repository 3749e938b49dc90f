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
