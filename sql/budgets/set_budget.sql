create or replace function set_budget(
    amount numeric,
    currency text,
    subject text default null,
    plan text default null,
    period text default 'cycle',
    marks numeric[] default '{80,100}',
    action text default 'alert',
    since timestamptz default null,
    projected boolean default false
)
returns budgets
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_version budgets;
    v_before  budgets;
begin
    if _is_open('set_budget') then perform _check_caller('set_budget'); end if;
    perform _check_read_committed('setting a budget'),
        _check_budget(set_budget.amount, set_budget.currency, set_budget.subject, set_budget.plan, set_budget.period, set_budget.marks,
                      set_budget.action, set_budget.projected),
        _check_time('since', set_budget.since), _check_home(set_budget.subject), _lock('budgets');
    v_version.subject := set_budget.subject;
    v_version.plan := set_budget.plan;
    v_version.currency := set_budget.currency;
    v_version.period := set_budget.period;
    v_version.amount := trim_scale(set_budget.amount);
    v_version.action := set_budget.action;
    v_version.marks := array(select distinct trim_scale(m) from unnest(set_budget.marks) m order by 1);
    v_version.projected := set_budget.projected;
    v_version.removed := false;
    -- The clock, not the beginning of the transaction: what was set before this call is the past.
    v_version.since := coalesce(set_budget.since, clock_timestamp());
    v_before := _budget_version(v_version.subject, v_version.plan, v_version.currency, v_version.period, v_version.since);
    if not v_before.removed and (v_before.amount, v_before.action, v_before.marks, v_before.projected)
        is not distinct from (v_version.amount, v_version.action, v_version.marks, v_version.projected)
    then
        return v_before;
    end if;
    v_version := _add_budget_version(v_version);
    perform _log_change('set_budget', coalesce(v_version.subject, v_version.plan, 'everyone'), to_jsonb(v_before), to_jsonb(v_version));
    if v_version.subject is not null then
        perform _lift_blocks(v_version.subject);
    end if;
    return v_version;
end
$$;

comment on function set_budget(numeric, text, text, text, text, numeric[], text, timestamptz, boolean) is
    'Sets how much money may be billed in a period: to a subject, to every subject with a plan, or without either to everyone. Of one currency '
    'and period, a subject''s own budget counts before those of its plans, of which the strictest counts, and these before everyone''s. '
    'judge_budgets() compares it with the total of invoice(), credits and taxes included. amount: in currency (ISO 4217), with its decimals; '
    'null: unlimited. period: cycle (the subject''s billing cycle), day, week, month or year (UTC). marks: percentages of the amount at '
    'which a notification is written. action: block refuses further events of the metrics with a price in the currency, once a judgement has '
    'found that the amount is spent; alert only notifies; none does neither. since: from when; null: now. projected: marks are compared '
    'with the total that project_invoice() expects, too; only for the period cycle. A change is a new version. A repetition changes nothing. What a '
    'changed budget of a subject does not block any more, by what was spent at its last judgement, is free at once. Returns the version. Raises '
    'UM007 for an unknown plan, 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, UM008 for a subject that is '
    'on another shard or being moved. Example: BEGIN; SELECT '
    'amount, currency, period, marks, action FROM meter.set_budget(100, ''EUR'', subject => ''acct_1'', action => ''block''); ROLLBACK;';
