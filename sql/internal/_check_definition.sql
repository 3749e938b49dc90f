create or replace function _check_definition(metric metrics)
returns void
language plpgsql
immutable
set search_path from current
as $$
declare
    v_problem text := _metric_problem(metric.key, metric.aggregate, metric.unit, metric.period, metric.rollup, metric.max_future, metric.carry);
begin
    if v_problem is not null then
        raise exception using
            errcode = case when v_problem like '% is null' then '22004' else '22023' end,
            message = v_problem, column = split_part(v_problem, ' ', 1),
            detail = format('key %s, aggregate %s, unit %s, period %s, rollup %s.',
                quote_nullable(left(metric.key, 80)), quote_nullable(left(metric.aggregate, 80)), quote_nullable(left(metric.unit, 80)),
                quote_nullable(left(metric.period, 80)), quote_nullable(left(metric.rollup, 80))),
            hint = 'aggregate: count, sum, min, max, avg, last, unique. period: minute, hour, day, week, month, year, never. '
                'rollup: hour, day, none. carry: only with last.';
    end if;
end
$$;

comment on function _check_definition(metrics) is 'Refuses (22004, 22023) a definition that has a bad value.';
