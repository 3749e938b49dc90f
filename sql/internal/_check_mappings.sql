create or replace function _check_mappings(metric metrics)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_mapping report_metrics;
begin
    select * into v_mapping from report_metrics r
    where r.metric = (_check_mappings.metric).key and r.event_name is not null
      and _mode_problem((_check_mappings.metric).aggregate, _fine_bucket((_check_mappings.metric).period, (_check_mappings.metric).rollup),
                        r.mode) is not null
    limit 1;
    if v_mapping.metric is not null then
        raise exception using
            errcode = 'UM002', message = 'a metric that is reported keeps what its mode needs', column = 'rollup',
            detail = format('%s is reported to %s as %s.', quote_literal(v_mapping.metric), quote_literal(v_mapping.biller), v_mapping.mode),
            hint = 'Report it in another mode first, or end it: report_metric(metric, null).';
    end if;
end
$$;

comment on function _check_mappings(metrics) is 'Refuses (UM002) a definition that a metric could not be reported by as it is.';
