create or replace function budget_status(subject text, now timestamptz default now())
returns setof budget_status
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
declare
    v_now    timestamptz := coalesce(budget_status.now, now());
    v_budget record;
    v_amount record;
begin
    if _is_open('budget_status') then perform _check_caller('budget_status'); end if;
    perform _check_name('subject', budget_status.subject), _check_here(budget_status.subject), _check_time('now', v_now);
    for v_budget in
        select b.*, s.judged_at, s.projected as projection, s.blocked, j.sqlstate, j.message,
               array(select f.mark from fired_budget_marks f
                     where f.subject = b.subject and f.currency = b.currency and f.period = b.period and f.period_start = b.since
                       and not f.is_projected
                     order by 1) as reached
        from _effective_budgets(budget_status.subject, v_now) b
        left join budget_spending s on s.subject = b.subject and s.currency = b.currency and s.period = b.period and s.since = b.since
        left join budget_judgements j on j.subject = b.subject
    loop
        select * into v_amount from _known_total(v_budget.subject, v_budget.currency, v_budget.since, v_budget.until);
        return next (
            v_budget.currency, v_budget.period, v_budget.since, v_budget.until, v_budget.amount,
            round(v_amount.amount, _currency_decimals(v_budget.currency)),
            round(case when v_budget.amount < v_amount.amount then 0 else v_budget.amount - v_amount.amount end,
                  _currency_decimals(v_budget.currency)),
            case when v_budget.amount > 0 then round(v_amount.amount * 100 / v_budget.amount, 2) end, v_budget.projection, v_budget.action,
            v_budget.marks, v_budget.reached, coalesce(v_budget.blocked, '{}') <> '{}', v_budget.judged_at, v_budget.source, v_budget.plan,
            v_budget.budget_id,
            coalesce(v_amount.reason, 'the last judgement failed: ' || v_budget.message || ' (' || v_budget.sqlstate || ')'))::budget_status;
    end loop;
end
$$;

comment on function budget_status(text, timestamptz) is
    'Returns the budgets that count for a subject, and how much of each is spent in the period that contains now: the total of invoice(), computed '
    'now. What has been reached, blocked and projected is what the last judgement found. A budget that another one shadows is left out. reason: why '
    'the total is unknown, or why the last judgement failed. Raises 22004 or 22023 for a bad value, UM008 for a subject that is on another shard or '
    'being moved. Example: BEGIN; SELECT amount FROM '
    'meter.set_budget(100, ''EUR'', subject => ''acct_1''); SELECT amount, spent, remaining, percent, currency, blocked, source FROM '
    'meter.budget_status(''acct_1''); ROLLBACK;';
