-- The metric's current period is that of the time zone argument, not of UTC.
create or replace function _metric_window(
    subject text, metric_period text, period text, since timestamptz, until timestamptz, timezone text, now timestamptz
)
returns tstzrange
language plpgsql
stable
set search_path from current
as $$
begin
    if lower(btrim(_metric_window.period) collate "C") = 'cycle' and _metric_window.subject is not null then
        return _cycle_window(
            _metric_window.subject, _metric_window.since, _metric_window.until, _metric_window.timezone, _metric_window.now);
    end if;
    return resolve_window(
        case when _metric_window.period is null and _metric_window.since is null and _metric_window.until is null
             then _metric_window.metric_period else _metric_window.period end,
        _metric_window.since, _metric_window.until, _metric_window.timezone, _metric_window.now);
end
$$;

comment on function _metric_window(text, text, text, timestamptz, timestamptz, text, timestamptz) is
    'Returns resolve_window() of the arguments, or with period cycle the billing cycle of the subject; without period, since and until, the '
    'current period of a metric whose period is metric_period.';
