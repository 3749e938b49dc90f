-- A spent budget is enforced by ordinary limits, one for each metric: recording knows of nothing else. Their quota is what is used and held when the
-- rows of the series are locked, so no admitted event is beyond it, and nothing more is admitted. A second version ends each of them with the
-- period, so the next one is free without a judgement.
create or replace function _budget_limit_changes(spending budget_spending, metrics text[], now timestamptz)
returns setof limits
language plpgsql
volatile  -- sees what was committed while locks were waited for
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    s budget_spending := spending;
begin
    return query
    with targets as (
        select m.key, m.key = any (_budget_limit_changes.metrics) as is_wanted, v.held, n.ending, u.quota
        from metrics m
        cross join lateral (
            select _limit_version(m.key, _budget_limit_name(s.currency), s.period, s.subject, null, _budget_limit_changes.now) as held offset 0
        ) v
        cross join lateral (
            select _limit_version(m.key, _budget_limit_name(s.currency), s.period, s.subject, null, s.until) as ending offset 0
        ) n
        cross join lateral (
            select case when m.key = any (_budget_limit_changes.metrics) then greatest(0, trim_scale(
                coalesce(_limit_used(m, _find_series_row(m, s.subject), s.since, s.until), 0)
                + _held_at(m.key, s.subject, s.since, s.until, clock_timestamp()))) end as quota
            offset 0
        ) u
        where m.key = any (_budget_limit_changes.metrics || s.blocked)
    )
    select 0::bigint, t.key, _budget_limit_name(s.currency), s.period, s.subject, null::text, c.since, coalesce(t.quota, (t.held).quota), 'block',
           '{}'::numeric[], null::numeric, null::numeric, null::numeric, c.removed, now(), false
    from targets t
    cross join lateral (
        select _budget_limit_changes.now as since, false as removed
        where t.is_wanted and ((t.held).limit_id is null or (t.held).removed or (t.held).quota is distinct from t.quota)
        union all
        select _budget_limit_changes.now, true where not t.is_wanted and not (t.held).removed
        union all
        select s.until, true where t.is_wanted and ((t.ending).since, (t.ending).removed) is distinct from (s.until, true)
    ) c
    order by t.key, c.since;
end
$$;

comment on function _budget_limit_changes(budget_spending, text[], timestamptz) is
    'The versions of limits that are missing for just these metrics to be blocked from now to the end of the period.';

-- The lock order of record(), with short waits: what is locked keeps the subject's recorders waiting until the transaction ends.
create or replace function _set_budget_limits(spending budget_spending, metrics text[], now timestamptz)
returns boolean
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '200ms'
as $$
#variable_conflict use_column
declare
    v_new text[];
begin
    if not exists (select from _budget_limit_changes(spending, _set_budget_limits.metrics, _set_budget_limits.now)) then
        return false;
    end if;
    v_new := array(select m.key from metrics m where m.key = any (_set_budget_limits.metrics) and not m.limited order by 1);
    perform from metrics m where m.key = any (v_new) order by m.key for no key update;
    perform _metric_limits_changed(k) from unnest(v_new) k;
    perform _enter_limited_subjects(array[(spending).subject]);
    perform from series s
    where s.metric = any (_set_budget_limits.metrics || (spending).blocked) and s.subject = (spending).subject and s.stripe = 0
    order by s.series_id
    for no key update;
    insert into limits (metric, name, period, subject, plan, since, quota, action, marks, removed)
    select c.metric, c.name, c.period, c.subject, c.plan, c.since, c.quota, c.action, c.marks, c.removed
    from _budget_limit_changes(spending, _set_budget_limits.metrics, _set_budget_limits.now) c;
    perform _limits_changed((spending).subject);
    return true;
end
$$;

comment on function _set_budget_limits(budget_spending, text[], timestamptz) is
    'Blocks just these metrics for a subject until the end of the period, by limits; returns whether anything had to be changed. Raises 55P03 if '
    'something it locks is in use.';

create or replace function _priced_metrics(subject text, currency text, since timestamptz, until timestamptz)
returns text[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope invoice_scope := _invoice_scope(
        _priced_metrics.subject, _priced_metrics.since, _priced_metrics.until, null, _priced_metrics.since, null);
begin
    return array(
        select distinct s.metric
        from _invoice_segments(v_scope) s
        join metrics m on m.key = s.metric
        where s.currency = _priced_metrics.currency and m.aggregate not in ('min', 'avg')
          and s.since < _priced_metrics.until and s.until > _priced_metrics.since
        order by 1);
end
$$;

comment on function _priced_metrics(text, text, timestamptz, timestamptz) is
    'The metrics that a subject has a price for in a currency, in a part of a window at least, and that can be limited.';

-- By what the last judgement has found: nothing is priced here. What a budget of a plan or of everyone blocks is left to the next judgement.
create or replace function _lift_blocks(subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '2s'
as $$
#variable_conflict use_column
declare
    v_now      timestamptz := clock_timestamp();
    v_spending budget_spending;
begin
    perform from budget_judgements j where j.subject = _lift_blocks.subject for no key update;
    for v_spending in
        select s.*
        from budget_spending s
        left join _effective_budgets(_lift_blocks.subject, v_now) b on b.currency = s.currency and b.period = s.period
        where s.subject = _lift_blocks.subject and s.blocked <> '{}' and s.until > v_now
          and (b.action = 'block' and (s.spent is null or s.spent >= b.amount)) is not true
    loop
        perform _set_budget_limits(v_spending, '{}', v_now);
        update budget_spending s set blocked = '{}'
        where s.subject = v_spending.subject and s.currency = v_spending.currency and s.period = v_spending.period;
    end loop;
exception when lock_not_available then
    null;  -- the next judgement does it
end
$$;

comment on function _lift_blocks(text) is
    'Ends the limits of a subject that no budget asks for any more. If the subject is in use, it is left to the next judgement.';
