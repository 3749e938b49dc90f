create or replace function _step(at timestamptz, duration interval, times int, timezone text)
returns timestamptz
language sql
stable parallel safe
as $$
    select (at at time zone timezone
            + make_interval(months => times * (extract(year from duration) * 12 + extract(month from duration))::int))
        at time zone timezone
        + times * (duration - make_interval(months => (extract(year from duration) * 12 + extract(month from duration))::int))
$$;

comment on function _step(timestamptz, interval, int, text) is
    'An instant that many durations later (earlier, if negative): first the months by the calendar of the time zone, clamped to the '
    'month''s last day, then the rest by the clock.';
