create or replace function usage(
    subject text,
    metric text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns usage_total
language plpgsql
stable
security definer
set search_path from current
as $$
declare
    v_metric metrics := case when not _is_open('usage') or _check_caller('usage') then _get_metric(usage.metric) end;
    v_window tstzrange;
    v_state  record;
    v_carried numeric;
begin
    perform _check_name('subject', usage.subject);
    v_window := _metric_window(usage.subject, v_metric.period, usage.period, usage.since, usage.until, usage.timezone, usage.now);
    v_state := _window_usage(v_metric, usage.subject, lower(v_window), upper(v_window));
    if v_metric.carry and v_state.event_count = 0 then
        v_carried := _carried_value(v_metric, _find_series(v_metric.key, usage.subject), lower(v_window));
    end if;
    return (v_metric.key, coalesce(v_carried, v_state.quantity), v_metric.unit, v_metric.aggregate, v_state.event_count,
            lower(v_window), upper(v_window), v_state.event_count > 0 or v_state.quantity <> 0 or v_carried is not null);
end
$$;

comment on function usage(text, text, text, timestamptz, timestamptz, text, timestamptz) is
    'Returns how much a subject used of a metric in a window. Without a window: in the metric''s current period. resolve_window() '
    'describes windows; period cycle is the subject''s billing cycle. Without events, quantity and event_count are 0 and '
    'has_data is false; a metric with carry then returns the '
    'last value from before the window, with event_count 0 and has_data true. Raises UM001 for an unknown metric, 22004 or 22023 for '
    'an invalid argument, UM006 when the window begins or ends inside a bucket whose events retention has dropped, 40001 when '
    'maintain() has moved events to another partition since the snapshot was taken (retry the transaction). '
    'Example: SELECT quantity, unit, event_count '
    'FROM meter.usage(''acct_1'', ''tokens'', since => ''2026-06-18'', until => ''2026-06-19'');';
