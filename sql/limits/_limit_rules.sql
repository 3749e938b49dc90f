create or replace function _check_limit(
    metric metrics, quota numeric, subject text, plan text, action text, marks numeric[], name text, every numeric
)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rule record;
begin
    perform _check_name('name', _check_limit.name, 100), _check_word('action', _check_limit.action, '{block,alert,none}');
    if _check_limit.subject is not null then
        perform _check_name('subject', _check_limit.subject, 512);
    end if;
    if _check_limit.plan is not null then
        perform _check_plan(_check_limit.plan);
    end if;
    select * into v_rule
    from (values
        (_check_limit.metric.aggregate in ('min', 'avg'), 'UM002', 'metric', 'a metric with the aggregate min or avg cannot be limited',
            'Limit a sum, count, max, last or unique.'),
        (_check_limit.subject is not null and _check_limit.plan is not null, '22023', 'plan', 'both a subject and a plan are given',
            'Pass a subject, a plan, or neither for everyone.'),
        (_check_limit.name ~ '^budget [A-Z]{3}$', '22023', 'name', 'the name is that of a budget''s limits',
            'set_budget() and remove_budget() change what a budget blocks. Choose another name for a limit.'),
        (_check_limit.quota not between 0 and 1e50, '22023', 'quota', 'quota is negative or too large',
            'Pass a number from 0 to 1e50, or null for unlimited.'),
        (_check_limit.marks is null, '22004', 'marks', 'marks is null', 'Pass an empty array for no marks.'),
        (cardinality(_check_limit.marks) > 100, '22023', 'marks', 'there are more than 100 marks', 'Pass fewer, or use every.'),
        (exists (select from unnest(_check_limit.marks) m where m is null or m not between 0.000001 and 1e6), '22023', 'marks',
            'a mark is no percentage above 0', 'Pass percentages of the quota, such as {80,100}.'),
        (_check_limit.every not between 1e-50 and 1e50, '22023', 'every', 'every is not positive or too large',
            'Pass the size of a step in the metric''s unit.')
    ) as r (is_broken, sqlstate, parameter, message, hint)
    where r.is_broken
    limit 1;
    if found then
        raise exception using errcode = v_rule.sqlstate, message = v_rule.message, column = v_rule.parameter, hint = v_rule.hint,
            detail = format('metric %s, quota %s, marks %s, every %s.', quote_literal(left(_check_limit.metric.key, 80)),
                coalesce(left(_check_limit.quota::text, 60), 'null'), left(_check_limit.marks::text, 80),
                coalesce(left(_check_limit.every::text, 60), 'null'));
    end if;
end
$$;

comment on function _check_limit(metrics, numeric, text, text, text, numeric[], text, numeric) is
    'Raises 22004 or 22023 for a bad value of a limit, UM002 for a metric that cannot be limited, UM007 for an unknown plan.';

create or replace function _limit_version(metric text, name text, period text, subject text, plan text, at timestamptz)
returns limits
language sql
stable
set search_path from current
as $$
    select l
    from limits l
    where l.metric = _limit_version.metric and l.name = _limit_version.name and l.period = _limit_version.period
      and l.subject is not distinct from _limit_version.subject and l.plan is not distinct from _limit_version.plan
      and l.since <= _limit_version.at
    order by l.since desc, l.limit_id desc
    limit 1
$$;

comment on function _limit_version(text, text, text, text, text, timestamptz) is
    'The version of a limit that holds at an instant; null if there is none.';

create or replace function _scheduled_versions(metric text, name text, period text, subject text, plan text, after timestamptz)
returns setof limits
language sql
stable
set search_path from current
as $$
    select v.*
    from (
        select distinct on (l.since) l.*
        from limits l
        where l.metric = _scheduled_versions.metric and l.name = _scheduled_versions.name and l.period = _scheduled_versions.period
          and l.subject is not distinct from _scheduled_versions.subject and l.plan is not distinct from _scheduled_versions.plan
          and l.since > _scheduled_versions.after
        order by l.since, l.limit_id desc
    ) v
    where not v.removed
    order by v.since
$$;

comment on function _scheduled_versions(text, text, text, text, text, timestamptz) is
    'The versions of a limit that begin after an instant, in this order, without those that end it.';

create or replace function _add_limit_version(version limits)
returns limits
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_new limits;
begin
    insert into limits (metric, name, period, subject, plan, since, quota, action, marks, every, removed, rollover_min,
                        rollover_max, projected)
    values ((version).metric, (version).name, (version).period, (version).subject, (version).plan, (version).since, (version).quota,
            (version).action, (version).marks, (version).every, (version).removed, (version).rollover_min, (version).rollover_max,
            (version).projected)
    returning * into v_new;
    if v_new.subject is not null and (select m.limited from metrics m where m.key = v_new.metric) then
        perform _limits_changed(v_new.subject);
    else
        perform _metric_limits_changed(v_new.metric);
    end if;
    return v_new;
end
$$;

comment on function _add_limit_version(limits) is
    'Stores a version of a limit, and makes recording look at it. The caller has locked what limits the subject.';
