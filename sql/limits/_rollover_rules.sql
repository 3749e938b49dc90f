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

-- What a subject used while it had another limit, or none, says nothing about what is left of this one.
create or replace function _has_held(version limits, subject text, since timestamptz, until timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_first limits := _limit_version((_has_held.version).metric, (_has_held.version).name, (_has_held.version).period,
                                     (_has_held.version).subject, (_has_held.version).plan, _has_held.since);
begin
    return not v_first.removed and v_first.quota is not null
        and not exists (
            select from limits l
            where l.metric = v_first.metric and l.name = v_first.name and l.period = v_first.period
              and l.subject is not distinct from v_first.subject and l.plan is not distinct from v_first.plan
              and l.since > _has_held.since and l.since < _has_held.until and (l.removed or l.quota is null))
        and (v_first.plan is null or exists (
            select from subscriptions s
            where s.subject = _has_held.subject and s.plan = v_first.plan and s.since <= _has_held.since
              and coalesce(s.until, 'infinity') >= _has_held.until));
end
$$;

comment on function _has_held(limits, text, timestamptz, timestamptz) is
    'Whether the limit of a version has had a quota for a subject during the whole of a period [since, until).';
