create or replace function remove_spike_alert(metric text, subject text default null, within interval default '1 hour')
returns spike_alerts
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics :=
        case when not _is_open('remove_spike_alert') or _check_caller('remove_spike_alert') then _get_metric(remove_spike_alert.metric) end;
    v_alert  spike_alerts;
begin
    perform _check_home(remove_spike_alert.subject);
    delete from spike_alerts a
    where a.metric = v_metric.key and a.subject is not distinct from remove_spike_alert.subject and a.within = remove_spike_alert.within
    returning * into v_alert;
    if v_alert.metric is null then
        raise exception using
            errcode = 'UM007', message = 'no such spike alert', column = 'within',
            detail = format('metric %s, subject %s, within %s.', quote_literal(v_metric.key),
                            coalesce(quote_literal(left(remove_spike_alert.subject, 80)), 'null'), coalesce(remove_spike_alert.within::text, 'null')),
            hint = 'spike_alerts() lists them.';
    end if;
    delete from detected_spikes d where d.spike_alert_id = v_alert.spike_alert_id;
    perform _log_change('remove_spike_alert', v_metric.key, to_jsonb(v_alert), null);
    return v_alert;
end
$$;

comment on function remove_spike_alert(text, text, interval) is
    'Removes an alert about spikes, and returns what it was. Raises UM001 for an unknown metric, UM007 if there is no such alert, 22004 for a '
    'null metric, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT factor FROM meter.set_spike_alert(''tokens'', '
    '3); SELECT factor FROM '
    'meter.remove_spike_alert(''tokens''); ROLLBACK;';
