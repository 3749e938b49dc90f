create or replace function _metric(key text)
returns metrics
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics;
begin
    if _metric.key is null then
        raise exception using errcode = '22004', message = 'metric is null', column = 'metric', hint = 'Name a metric of catalog().';
    end if;
    select * into v_metric from metrics where key = _metric.key;
    if v_metric.key is null then
        raise exception using
            errcode = 'UM001', message = 'unknown metric', column = 'metric',
            detail = format('metric %s.', quote_literal(left(_metric.key, 80))),
            hint = 'Define it first: SELECT define_metric(key, aggregate, unit).';
    end if;
    return v_metric;
end
$$;

comment on function _metric(text) is 'The definition of a metric, for reading. Raises 22004 for null, UM001 if there is none.';
