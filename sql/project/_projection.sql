create or replace function _projection(metric metrics, outlook usage_outlook, since timestamptz, until timestamptz)
returns usage_projection
language plpgsql
immutable
set search_path from current
as $$
declare
    v_metric metrics := _projection.metric;
    v_used   numeric := outlook.used;
    v_row    usage_projection;
begin
    v_row.metric := v_metric.key;
    v_row.aggregate := v_metric.aggregate;
    v_row.unit := v_metric.unit;
    v_row.since := _projection.since;
    v_row.until := _projection.until;
    v_row.at := outlook.at;
    v_row.elapsed := round(extract(epoch from outlook.at - _projection.since) / extract(epoch from _projection.until - _projection.since), 6);
    v_row.used := trim_scale(v_used);
    v_row.method := outlook.method;
    v_row.reason := outlook.reason;
    v_row.history_days := outlook.history_days;
    if outlook.method <> 'none' then
        v_row.low := trim_scale(_with_rest(v_metric.aggregate, v_used, outlook.used_events, outlook.low, outlook.events));
        v_row.expected := trim_scale(_with_rest(v_metric.aggregate, v_used, outlook.used_events, outlook.expected, outlook.events));
        v_row.high := trim_scale(_with_rest(v_metric.aggregate, v_used, outlook.used_events, outlook.high, outlook.events));
        v_row.run_rate := trim_scale(v_used + outlook.run_rate);
        v_row.weekday_profile := trim_scale(v_used + outlook.weekday_profile);
    end if;
    return v_row;
end
$$;

comment on function _projection(metrics, usage_outlook, timestamptz, timestamptz) is
    'What was used and what is expected, together: the row of project_usage().';

create or replace function _with_rest(aggregate text, used numeric, used_events numeric, rest numeric, rest_events numeric)
returns numeric
language sql
immutable parallel safe
set search_path from current
as $$
    select case
        when rest is null then used
        when aggregate in ('sum', 'count', 'unique') then used + rest
        when used_events = 0 or aggregate = 'last' then rest
        when aggregate = 'max' then greatest(used, rest)
        when aggregate = 'min' then least(used, rest)
        when used_events + rest_events > 0 then round((used * used_events + rest * rest_events) / (used_events + rest_events), 6)
        else used end
$$;

comment on function _with_rest(text, numeric, numeric, numeric, numeric) is
    'The quantity of a time whose first part has used, of used_events, and whose other part has rest; rest null: nothing happens in that.';
