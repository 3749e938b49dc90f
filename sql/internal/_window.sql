-- No window given means the metric's own current period, in the time zone asked for.
create or replace function _window(
    metric metrics, period text, since timestamptz, until timestamptz, timezone text, now timestamptz
)
returns tstzrange
language sql
stable
set search_path from current
as $$
    select resolve_window(
        case when period is null and since is null and until is null then (_window.metric).period else period end,
        since, until, timezone, now)
$$;

comment on function _window(metrics, text, timestamptz, timestamptz, text, timestamptz) is
    'resolve_window(), where no window at all means the metric''s current period.';
