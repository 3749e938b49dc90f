-- What the running minute or hour will hold is no news for anybody who can act on it; a trailing window has no end, and never none in sight.
create or replace function _check_projected(metric metrics, period text, projected boolean)
returns void
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule record;
begin
    if not _check_projected.projected then
        return;
    end if;
    select * into v_rule
    from (values
        (_check_projected.projected is null, '22004', 'projected', 'projected is null', 'Pass true or false.'),
        (_check_projected.period not in ('day', 'week', 'month', 'year', 'cycle'), '22023', 'period',
            'usage of this period cannot be projected', 'Use day, week, month, year or cycle, or leave projected out.'),
        ((_check_projected.metric).fine_bucket not in ('minute', 'hour', 'day'), 'UM002', 'metric',
            'a metric without buckets of hours or days cannot be projected', 'Define it with rollup hour, or leave projected out.')
    ) as r (is_broken, sqlstate, parameter, message, hint)
    where r.is_broken
    limit 1;
    if found then
        raise exception using errcode = v_rule.sqlstate, message = v_rule.message, column = v_rule.parameter, hint = v_rule.hint,
            detail = format('metric %s, rollup %s, period %s.', quote_literal(left((_check_projected.metric).key, 80)),
                (_check_projected.metric).rollup, _check_projected.period);
    end if;
end
$$;

comment on function _check_projected(metrics, text, boolean) is
    'Raises 22004 or 22023 for a limit whose marks cannot fire on projected usage because of its period, UM002 because of its metric.';

create or replace function _is_same_limit(a limits, b limits)
returns boolean
language sql
immutable
set search_path from current
as $$
    select not a.removed and (a.quota, a.action, a.marks, a.every, a.rollover_min, a.rollover_max, a.projected)
        is not distinct from (b.quota, b.action, b.marks, b.every, b.rollover_min, b.rollover_max, b.projected)
$$;

comment on function _is_same_limit(limits, limits) is
    'Whether two versions of a limit say the same; false if the first ends it, or is null.';
