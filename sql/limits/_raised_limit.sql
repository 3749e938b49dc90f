-- Top-ups raise one limit of a subject and metric. It has a quota, and its periods tile: a trailing window has none.
create or replace function _raised_rank(metric_period text, period text)
returns integer
language sql
immutable
set search_path from current
as $$
    select case when period = metric_period then 0
                when period = 'cycle' then 1
                else 10 - array_position(array['minute', 'hour', 'day', 'week', 'month', 'year', 'never'], period) end
$$;

comment on function _raised_rank(text, text) is
    'The rank of a limit named default among those of other periods: top-ups raise the one with the lowest. First the metric''s own period, then '
    'cycle, then the longest. Null for a trailing window.';

create or replace function _raised_check(metric metrics, checks limit_check[])
returns integer
language sql
stable
set search_path from current
as $$
    select n
    from generate_subscripts(checks, 1) n
    where checks[n].name = 'default' and not checks[n].is_trailing
    order by _raised_rank(metric.period, checks[n].period)
    limit 1
$$;

comment on function _raised_check(metrics, limit_check[]) is 'Which of the limits of an event top-ups raise: its subscript; null if none.';

create or replace function _raised_version(metric text, subject text, period text, at timestamptz)
returns limits
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_version limits;
begin
    select v.* into v_version
    from (
        select distinct on (l.subject, l.plan) l.*
        from (
            select o.* from limits o
            where o.metric = _raised_version.metric and o.subject = _raised_version.subject and o.name = 'default'
              and o.period = _raised_version.period and o.since <= _raised_version.at
            union all
            select o.* from limits o
            where o.metric = _raised_version.metric and o.subject is null and o.name = 'default'
              and o.period = _raised_version.period and o.since <= _raised_version.at
        ) l
        order by l.subject, l.plan, l.since desc, l.limit_id desc
    ) v
    where not v.removed and (v.plan is null or exists (
        select from subscriptions s
        where s.subject = _raised_version.subject and s.plan = v.plan
          and s.since <= _raised_version.at and coalesce(s.until, 'infinity') > _raised_version.at))
    order by v.subject is null, v.plan is null, v.quota is null, v.action <> 'block', v.quota, v.limit_id
    limit 1;
    return v_version;
end
$$;

comment on function _raised_version(text, text, text, timestamptz) is
    'The version of the limits named default of a period that counts for a subject, as _effective_limits() finds it for a period that is decided at '
    'this instant; all fields are null if none does.';

create or replace function _may_be_raised(metric text, subject text)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return exists (
        select from top_ups t
        where t.metric = _may_be_raised.metric and t.subject = _may_be_raised.subject and t.voided_at is null
    ) or exists (
        select from limits l
        where l.metric = _may_be_raised.metric and l.subject = _may_be_raised.subject
          and (l.rollover_min is not null or l.rollover_max is not null)
    ) or exists (
        select from limits l
        where l.metric = _may_be_raised.metric and l.subject is null
          and (l.rollover_min is not null or l.rollover_max is not null)
    );
end
$$;

comment on function _may_be_raised(text, text) is 'Whether a subject has top-ups of a metric, or a limit with a rollover.';
