-- The one answer for one window, which usage() gives and statements store.
create or replace function _measured_usage(
    metric metrics, subject text, since timestamptz, until timestamptz, as_of timestamptz, out event_count bigint, out quantity numeric,
    out has_data boolean
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := _measured_usage.metric;
    v_carried numeric;
begin
    if as_of is null then
        select u.event_count, u.quantity into event_count, quantity
        from _window_usage(v_metric, _measured_usage.subject, _measured_usage.since, _measured_usage.until) u;
    else
        select u.event_count, u.quantity into event_count, quantity
        from _usage_as_of(v_metric, _measured_usage.subject,
                          array[_cut_window(v_metric, _measured_usage.since, _measured_usage.until)], as_of) u;
    end if;
    if v_metric.carry and event_count = 0 then
        v_carried := case
            when as_of is null then
                _carried_value(v_metric, _find_series(v_metric.key, _measured_usage.subject), _measured_usage.since)
            else _carried_as_of(v_metric, _find_series(v_metric.key, _measured_usage.subject), _measured_usage.since, as_of) end;
    end if;
    has_data := event_count > 0 or quantity <> 0 or v_carried is not null;
    quantity := coalesce(v_carried, quantity);
end
$$;

comment on function _measured_usage(metrics, text, timestamptz, timestamptz, timestamptz) is
    'The usage of a subject in a window; with as_of, as of that watermark. Without events, a metric with carry has the last value from before.';
