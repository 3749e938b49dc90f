-- As for limits: the version that holds now, of the subject, else of its plans the strictest, else everyone's.
create or replace function _effective_budgets(subject text, now timestamptz)
returns setof effective_budget
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
set jit to off
as $$
#variable_conflict use_column
begin
    return query
        with versions as (
            select b.* from budgets b where b.subject = _effective_budgets.subject
            union all
            select b.*
            from (
                select distinct s.plan from subscriptions s
                where s.subject = _effective_budgets.subject and s.since <= _effective_budgets.now
                  and coalesce(s.until, 'infinity') > _effective_budgets.now
            ) p
            join budgets b on b.subject is null and b.plan = p.plan
            union all
            select b.* from budgets b where b.subject is null and b.plan is null
        ), held as (
            select distinct on (v.currency, v.period, v.subject, v.plan) v.*
            from versions v
            where v.since <= _effective_budgets.now
            order by v.currency, v.period, v.subject, v.plan, v.since desc, v.budget_id desc
        ), counting as (
            select distinct on (h.currency, h.period) h.*
            from held h
            where not h.removed
            order by h.currency, h.period, h.subject is null, h.plan is null, h.amount is null, _action_rank(h.action), h.amount, h.budget_id
        )
        select c.budget_id, _effective_budgets.subject, c.currency, c.period,
               case when c.subject is not null then 'subject' when c.plan is not null then 'plan' else 'everyone' end, c.plan, c.amount, c.action,
               c.marks, c.projected, lower(w.period), upper(w.period)
        from counting c
        cross join lateral (select _budget_period(c.period, _effective_budgets.subject, _effective_budgets.now) as period offset 0) w
        order by c.currency, c.period;
end
$$;

comment on function _effective_budgets(text, timestamptz) is
    'The budgets that count for a subject at an instant, of each currency and period one, with the period that contains the instant.';

create or replace function _budget_period(period text, subject text, at timestamptz)
returns tstzrange
language plpgsql
stable
set search_path from current
as $$
declare
    v_since timestamptz;
begin
    if period = 'cycle' then
        return _cycle_at(_budget_period.subject, _budget_period.at);
    end if;
    v_since := _bucket_start(_budget_period.period, _budget_period.at);
    return tstzrange(v_since, _bucket_end(_budget_period.period, v_since));
end
$$;

comment on function _budget_period(text, text, timestamptz) is 'The period of a budget that contains an instant, as invoice() resolves it.';

create or replace function _budgets_valid_until(subject text, budgets effective_budget[], now timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return least(
        (select min(b.until) from unnest(_budgets_valid_until.budgets) b),
        -- What is expected changes with the clock alone.
        (select _budgets_valid_until.now + interval '1 hour' from unnest(_budgets_valid_until.budgets) b where b.projected limit 1),
        (select min(b.since) from budgets b where b.subject = _budgets_valid_until.subject and b.since > _budgets_valid_until.now),
        (select min(b.since) from budgets b where b.subject is null and b.since > _budgets_valid_until.now),
        (select min(s.since) from subscriptions s where s.subject = _budgets_valid_until.subject and s.since > _budgets_valid_until.now),
        (select min(s.until) from subscriptions s where s.subject = _budgets_valid_until.subject and s.until > _budgets_valid_until.now),
        'infinity'::timestamptz);
end
$$;

comment on function _budgets_valid_until(text, effective_budget[], timestamptz) is
    'Until when a judgement holds if nothing that it was computed from changes.';
