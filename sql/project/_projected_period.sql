-- As recording does, it counts an hour at the start of the period whole if its events were dropped.
create or replace function _projected_period(metric metrics, subject text, since timestamptz, until timestamptz, at timestamptz)
returns usage_projection
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _projected_period.metric;
    v_from   timestamptz := (_kept_window(v_metric, _projected_period.since, _projected_period.until)).since;
begin
    -- Since when the subject is known decides only why nothing more is expected.
    return _projection(v_metric, _outlook(v_metric, _projected_period.subject, v_from, _projected_period.until, _projected_period.at, null),
                       _projected_period.since, _projected_period.until);
end
$$;

comment on function _projected_period(metrics, text, timestamptz, timestamptz, timestamptz) is
    'What project_usage() would say of a metric at an instant if [since, until) were the billing cycle.';

create or replace function _projected_mark_data(of effective_limit, projection usage_projection, mark numeric)
returns jsonb
language sql
immutable
set search_path from current
as $$
    select jsonb_build_object(
        'limit', of.name, 'limit_id', of.limit_id, 'period', of.period, 'action', of.action, 'mark', _projected_mark_data.mark,
        'numerator', projection.used, 'low', projection.low, 'expected', projection.expected, 'high', projection.high,
        'method', projection.method, 'denominator', of.quota, 'unit', projection.unit, 'since', of.since, 'until', of.until)
$$;

comment on function _projected_mark_data(effective_limit, usage_projection, numeric) is
    'The facts of threshold.projected: as of the other marks, with the range that is expected at the end of the period and its method.';
