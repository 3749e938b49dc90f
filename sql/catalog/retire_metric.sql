create or replace function retire_metric(key text)
returns metrics
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics;
begin
    if _is_open('retire_metric') then perform _check_caller('retire_metric'); end if;
    v_metric := _get_metric(retire_metric.key);
    if v_metric.retired_at is not null then
        return v_metric;
    end if;
    perform _lock_metric(retire_metric.key);
    update metrics m set retired_at = now(), revision = m.revision + 1 where m.key = retire_metric.key and m.retired_at is null;
    perform _log_change('retire_metric', v_metric.key, to_jsonb(v_metric), to_jsonb(_get_metric(retire_metric.key))),
        _notify('metric.retired', null, v_metric.key, to_jsonb(_get_metric(retire_metric.key)));
    return _get_metric(retire_metric.key);
end
$$;

comment on function retire_metric(text) is
    'Retires a metric. Its history stays readable; recording to it raises UM002. Retiring it again changes nothing; define_metric() brings '
    'it back into use. Returns the metric. Raises 22004 for a null key, UM001 for an unknown metric, 55P03 if it waits longer than 5 '
    'seconds for REPEATABLE READ or SERIALIZABLE transactions that record. Example: BEGIN; SELECT key, retired_at IS NOT NULL AS retired FROM '
    'meter.retire_metric(''seats''); ROLLBACK;';
