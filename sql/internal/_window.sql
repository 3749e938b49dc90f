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
