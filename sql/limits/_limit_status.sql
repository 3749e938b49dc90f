create or replace function _limit_status(subject text, metric text, requested numeric, now timestamptz)
returns quota_status
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_metric  metrics := _get_metric(_limit_status.metric);
    v_at      timestamptz := coalesce(_limit_status.now, now());
    v_checks  limit_check[];
    v_binding limit_check;
    v_total   usage_total;
    v_allowed boolean;
begin
    perform _check_name('subject', _limit_status.subject), _check_here(_limit_status.subject), _check_time('now', v_at);
    if v_metric.limited then
        v_checks := case
            when v_at > now() then _limit_checks(v_metric, _find_series_row(v_metric, _limit_status.subject), v_at, v_at)
            else _period_checks(v_metric, _find_series_row(v_metric, _limit_status.subject), v_at) end;
        v_binding := _binding_limit(v_checks);
    end if;
    if v_binding.limit_id is null then
        v_total := usage(_limit_status.subject, _limit_status.metric, now => v_at);
        return (v_metric.key, true, v_total.quantity, null::numeric, null::numeric, v_metric.unit, v_total.since, v_total.until, 0::numeric,
                0::numeric, null::text);
    end if;
    v_allowed := not exists (
        select from unnest(v_checks) c
        where c.action = 'block' and case
            when _limit_status.requested is null then c.remaining <= 0
            when v_metric.aggregate = 'max' then _limit_status.requested > greatest(c.quota, c.used)
            when v_metric.aggregate = 'last' then _limit_status.requested > c.quota
            else _limit_status.requested > c.remaining end);
    return (v_metric.key, v_allowed, trim_scale(v_binding.used), trim_scale(v_binding.remaining), v_binding.quota, v_metric.unit, v_binding.since,
            v_binding.until, trim_scale(v_binding.held), trim_scale(v_binding.overrun), v_binding.name);
end
$$;

comment on function _limit_status(text, text, numeric, timestamptz) is
    'What check_quota() answers without a quota: the limit that binds, and whether all limits that block leave room. Raises as usage() does.';

-- A period has one quota, so the clock decides about its version. A trailing window is another one at every instant.
create or replace function _period_checks(metric metrics, series series, at timestamptz)
returns limit_check[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_checks limit_check[] := _limit_checks(_period_checks.metric, _period_checks.series, _period_checks.at, clock_timestamp());
begin
    if _period_checks.at >= now() then
        return v_checks;
    end if;
    return array(
        select c from unnest(v_checks) c where not c.is_trailing
        union all
        select c
        from unnest(_limit_checks(_period_checks.metric, _period_checks.series, _period_checks.at, _period_checks.at, _period_checks.at)) c
        where c.is_trailing);
end
$$;

comment on function _period_checks(metrics, series, timestamptz) is
    'The limits with a quota of the periods that contain an instant, which ends the windows of trailing limits if it has passed.';
