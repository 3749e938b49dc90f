create or replace function project_usage(
    subject text,
    metric text default null,
    now timestamptz default now()
)
returns setof usage_projection
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_at    timestamptz := coalesce(project_usage.now, now());
    v_one   metrics := case when not _is_open('project_usage') or _check_caller('project_usage') then
        case when project_usage.metric is not null then _get_metric(project_usage.metric) end end;
    v_cycle tstzrange;
    v_known timestamptz;
begin
    perform _check_name('subject', project_usage.subject), _check_here(project_usage.subject), _check_time('now', v_at);
    v_cycle := _cycle_at(project_usage.subject, v_at);
    perform _check_time('now', lower(v_cycle)), _check_time('now', upper(v_cycle));
    v_known := _known_since(project_usage.subject, v_at);
    return query
    select p.*
    from metrics m
    cross join lateral _outlook(m, project_usage.subject, lower(v_cycle), upper(v_cycle), v_at, v_known) o
    cross join lateral _projection(m, o, lower(v_cycle), upper(v_cycle)) p
    where m.key = coalesce(v_one.key, m.key) and (v_one.key is not null or m.retired_at is null or o.used_events > 0 or o.used <> 0)
    order by m.key;
    perform _check_snapshot();
end
$$;

comment on function project_usage(text, text, timestamptz) is
    'Returns how much of a metric a subject will have used at the end of the billing cycle that contains now, as a range: low, expected, high. '
    'metric null: every metric in use, a row for each. Only events before now are looked at. method: run_rate (what was used so far, by the part '
    'of the cycle that has passed), weekday_profile (what the same weekdays and hours had in the last 28 days), recent_values (for max, min, last, '
    'avg and unique), unchanged (nothing more is expected) or none: with less than 7 days of history, or after usage stopped, low, expected and '
    'high are null and reason says why. It reads buckets; no forecast is stored. Raises UM001 for an unknown metric, 22004 or 22023 for a bad '
    'value, UM006 if now or the start of the cycle lies inside a bucket whose events were dropped, 40001 as usage() does, UM008 for a subject that '
    'is on another shard or being moved. Example: SELECT metric, '
    'used, method, low, expected, high, reason FROM meter.project_usage(''acct_1'', ''tokens'', now => ''2026-06-18'');';
