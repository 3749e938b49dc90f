create or replace function _check_rollover(metric metrics, period text, name text, rollover_min numeric, rollover_max numeric)
returns void
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule record;
begin
    if _check_rollover.rollover_min is null and _check_rollover.rollover_max is null then
        return;
    end if;
    select * into v_rule
    from (values
        ((_check_rollover.metric).aggregate not in ('sum', 'count'), 'UM002', 'metric', 'only a sum or count can roll over',
            'Set the limit without a rollover.'),
        (_check_rollover.rollover_min not between 0 and 1e50, '22023', 'rollover_min', 'rollover_min is negative or too large',
            'Pass a number from 0 to 1e50.'),
        (_check_rollover.rollover_max not between 0 and 1e50, '22023', 'rollover_max', 'rollover_max is negative or too large',
            'Pass a number from 0 to 1e50.'),
        (_check_rollover.rollover_min > _check_rollover.rollover_max, '22023', 'rollover_max', 'rollover_max is less than rollover_min',
            'Pass a larger rollover_max.'),
        (_check_rollover.name <> 'default', '22023', 'name', 'only the limit named default can roll over', 'Use the name default.'),
        (_check_rollover.period not in ('minute', 'hour', 'day', 'week', 'month', 'year', 'cycle'), '22023', 'period',
            'the period has no next one', 'Use a calendar unit, or cycle.')
    ) as r (is_broken, sqlstate, parameter, message, hint)
    where r.is_broken
    limit 1;
    if found then
        raise exception using errcode = v_rule.sqlstate, message = v_rule.message, column = v_rule.parameter, hint = v_rule.hint,
            detail = format('metric %s, period %s, rollover_min %s, rollover_max %s.', quote_literal(left((_check_rollover.metric).key, 80)),
                _check_rollover.period, coalesce(left(_check_rollover.rollover_min::text, 60), 'null'),
                coalesce(left(_check_rollover.rollover_max::text, 60), 'null'));
    end if;
end
$$;

comment on function _check_rollover(metrics, text, text, numeric, numeric) is
    'Raises 22023 for a bad rollover of a limit, UM002 for a metric that is no sum or count.';
