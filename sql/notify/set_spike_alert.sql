create or replace function set_spike_alert(
    metric text,
    factor numeric,
    subject text default null,
    within interval default '1 hour',
    baseline interval default '14 days'
)
returns spike_alerts
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('set_spike_alert') or _check_caller('set_spike_alert') then _get_metric(set_spike_alert.metric) end;
    v_before spike_alerts;
    v_alert  spike_alerts;
begin
    perform _check_spike_alert(v_metric, set_spike_alert.factor, set_spike_alert.subject, set_spike_alert.within, set_spike_alert.baseline),
        _check_home(set_spike_alert.subject);
    select * into v_before from spike_alerts a
    where a.metric = v_metric.key and a.subject is not distinct from set_spike_alert.subject and a.within = set_spike_alert.within;
    insert into spike_alerts as a (metric, subject, within, factor, baseline)
    values (v_metric.key, set_spike_alert.subject, set_spike_alert.within, trim_scale(set_spike_alert.factor), set_spike_alert.baseline)
    on conflict on constraint spike_alerts_by_scope do update set factor = excluded.factor, baseline = excluded.baseline
    returning * into v_alert;
    perform _log_change('set_spike_alert', v_metric.key, to_jsonb(v_before), to_jsonb(v_alert));
    return v_alert;
end
$$;

comment on function set_spike_alert(text, numeric, text, interval, interval) is
    'Sets that judge_spikes() writes spike.detected when a subject uses, in a window of the length within, at least factor times what it has used '
    'on average in windows of that length during the baseline before. subject null: each subject by itself. One alert for each metric, subject '
    'and length; a repetition changes it. Only for a sum or count, and for windows that consist of whole buckets of the metric''s rollup. within: '
    '1 minute to 31 days; baseline: at least three times that, at most 366 days. Returns the alert. Raises UM001 for an unknown metric, UM002 for '
    'one that cannot be judged, 22004 or 22023 for a bad value, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT '
    'metric, factor, within, baseline FROM '
    'meter.set_spike_alert(''tokens'', 3); ROLLBACK;';
