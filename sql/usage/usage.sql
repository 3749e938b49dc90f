create or replace function usage(
    subject text,
    metric text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now(),
    as_of timestamptz default null
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
begin
    perform _check_name('subject', usage.subject), _check_here(usage.subject);
    v_window := _metric_window(usage.subject, v_metric.period, usage.period, usage.since, usage.until, usage.timezone, usage.now);
    if usage.as_of is not null then perform _check_as_of(usage.subject, usage.as_of); end if;
    v_state := _measured_usage(v_metric, usage.subject, lower(v_window), upper(v_window), usage.as_of);
    return (v_metric.key, v_state.quantity, v_metric.unit, v_metric.aggregate, v_state.event_count, lower(v_window), upper(v_window),
            v_state.has_data);
end
$$;

comment on function usage(text, text, text, timestamptz, timestamptz, text, timestamptz, timestamptz) is
    'Returns how much a subject used of a metric in a window. Without a window: in the metric''s current period. resolve_window() describes '
    'windows; period cycle is the subject''s billing cycle. Without events, quantity and event_count are 0 and has_data is false; a metric with '
    'carry then returns the last value from before the window, with event_count 0 and has_data true. as_of: only what had been recorded up to that '
    'watermark (watermark()). Raises UM001 for an unknown metric, 22004 or 22023 for an invalid argument, UM006 when the window begins or ends '
    'inside a bucket whose events retention has dropped, 40001 when maintain() has moved events to another partition since the snapshot was taken '
    '(retry the transaction), 55P03 for an as_of after the last watermark, UM008 for a subject that is on another shard or being moved. Example: '
    'SELECT quantity, unit, event_count FROM '
    'meter.usage(''acct_1'', ''tokens'', since => ''2026-06-18'', until => ''2026-06-19'');';
