create or replace function _check_budget(
    amount numeric, currency text, subject text, plan text, period text, marks numeric[], action text, projected boolean
)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_decimals integer := _currency_decimals(_check_budget.currency);
    v_rule     record;
begin
    perform _check_word('period', _check_budget.period, '{cycle,day,week,month,year}'),
        _check_word('action', _check_budget.action, '{block,alert,none}');
    if _check_budget.subject is not null then
        perform _check_name('subject', _check_budget.subject, 512);
    end if;
    if _check_budget.plan is not null then
        perform _check_plan(_check_budget.plan);
    end if;
    select * into v_rule
    from (values
        (_check_budget.subject is not null and _check_budget.plan is not null, '22023', 'plan', 'both a subject and a plan are given',
            'Pass a subject, a plan, or neither for everyone.'),
        (_check_budget.amount not between 0 and 1e50 or scale(trim_scale(_check_budget.amount)) > v_decimals, '22023', 'amount',
            'amount is negative, too large, or has more decimals than the currency',
            format('Pass a number from 0 on with at most %s decimals, or null for unlimited.', v_decimals)),
        (_check_budget.marks is null, '22004', 'marks', 'marks is null', 'Pass an empty array for no marks.'),
        (cardinality(_check_budget.marks) > 100, '22023', 'marks', 'there are more than 100 marks', 'Pass fewer.'),
        (exists (select from unnest(_check_budget.marks) m where m is null or m not between 0.000001 and 1e6), '22023', 'marks',
            'a mark is no percentage above 0', 'Pass percentages of the amount, such as {80,100}.'),
        (_check_budget.projected is null, '22004', 'projected', 'projected is null', 'Pass true or false.'),
        (_check_budget.projected and _check_budget.period <> 'cycle', '22023', 'projected', 'only a billing cycle is projected',
            'Use the period cycle, or a budget without projected.')
    ) as r (is_broken, sqlstate, parameter, message, hint)
    where r.is_broken
    limit 1;
    if found then
        raise exception using errcode = v_rule.sqlstate, message = v_rule.message, column = v_rule.parameter, hint = v_rule.hint,
            detail = format('amount %s %s, period %s, marks %s.', coalesce(left(_check_budget.amount::text, 60), 'null'),
                _check_budget.currency, _check_budget.period, coalesce(left(_check_budget.marks::text, 80), 'null'));
    end if;
end
$$;

comment on function _check_budget(numeric, text, text, text, text, numeric[], text, boolean) is
    'Raises 22004 or 22023 for a bad value of a budget, UM007 for an unknown plan.';

create or replace function _budget_version(subject text, plan text, currency text, period text, at timestamptz)
returns budgets
language sql
stable
set search_path from current
as $$
    select b
    from budgets b
    where b.subject is not distinct from _budget_version.subject and b.plan is not distinct from _budget_version.plan
      and b.currency = _budget_version.currency and b.period = _budget_version.period and b.since <= _budget_version.at
    order by b.since desc, b.budget_id desc
    limit 1
$$;

comment on function _budget_version(text, text, text, text, timestamptz) is
    'The version of a budget that holds at an instant; null if there is none.';

create or replace function _scheduled_budgets(subject text, plan text, currency text, period text, after timestamptz)
returns setof budgets
language sql
stable
set search_path from current
as $$
    select v.*
    from (
        select distinct on (b.since) b.*
        from budgets b
        where b.subject is not distinct from _scheduled_budgets.subject and b.plan is not distinct from _scheduled_budgets.plan
          and b.currency = _scheduled_budgets.currency and b.period = _scheduled_budgets.period and b.since > _scheduled_budgets.after
        order by b.since, b.budget_id desc
    ) v
    where not v.removed
    order by v.since
$$;

comment on function _scheduled_budgets(text, text, text, text, timestamptz) is
    'The versions of a budget that begin after an instant, in this order, without those that end it.';

create or replace function _add_budget_version(version budgets)
returns budgets
language sql
volatile
set search_path from current
as $$
    insert into budgets (subject, plan, currency, period, since, amount, action, marks, projected, removed)
    values (version.subject, version.plan, version.currency, version.period, version.since, version.amount, version.action, version.marks,
            version.projected, version.removed)
    returning budgets.*
$$;

comment on function _add_budget_version(budgets) is 'Stores a version of a budget. The caller has the lock budgets.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _budget_limit_name(currency text)
returns text
language sql
immutable parallel safe
as $$
    select 'budget ' || currency
$$;

comment on function _budget_limit_name(text) is 'What the limits are called that a spent budget sets: limited_by of refused events.';
