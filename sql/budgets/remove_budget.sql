create or replace function remove_budget(
    currency text, subject text default null, plan text default null, period text default 'cycle'
)
returns budgets
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now    timestamptz;
    v_before budgets;
    v_end    budgets;
    v_first  budgets;
begin
    if _is_open('remove_budget') then perform _check_caller('remove_budget'); end if;
    perform _check_read_committed('removing a budget'),
        _check_budget(null, remove_budget.currency, remove_budget.subject, remove_budget.plan, remove_budget.period, '{}', 'none', false),
        _check_home(remove_budget.subject), _lock('budgets');
    v_now := clock_timestamp();
    for v_before in
        select v.*
        from _budget_version(remove_budget.subject, remove_budget.plan, remove_budget.currency, remove_budget.period, v_now) v
        where not v.removed
        union all
        select * from _scheduled_budgets(remove_budget.subject, remove_budget.plan, remove_budget.currency, remove_budget.period, v_now)
        order by since
    loop
        v_end := v_before;
        v_end.since := greatest(v_before.since, v_now);
        v_end.removed := true;
        v_end := _add_budget_version(v_end);
        perform _log_change('remove_budget', coalesce(v_end.subject, v_end.plan, 'everyone'), to_jsonb(v_before), to_jsonb(v_end));
        v_first := case when v_first.budget_id is null then v_end else v_first end;
    end loop;
    if v_first.budget_id is null then
        raise exception using
            errcode = 'UM007', message = 'no such budget', column = 'currency',
            detail = format('currency %s, period %s, subject %s, plan %s.', remove_budget.currency, remove_budget.period,
                coalesce(quote_literal(left(remove_budget.subject, 80)), 'null'), coalesce(quote_literal(remove_budget.plan), 'null')),
            hint = 'budgets() lists them; currency, period, subject and plan have to be the same.';
    end if;
    if remove_budget.subject is not null then
        perform _lift_blocks(remove_budget.subject);
    end if;
    return v_first;
end
$$;

comment on function remove_budget(text, text, text, text) is
    'Ends a budget now, and its versions that were to begin later, each at its since. Returns the version that ends it; for a budget that has not '
    'begun, the one that ends it at its first since. What it shadowed counts again. What a subject''s own budget has blocked is free at once, '
    'unless another one counts that is spent; what one of a plan or of everyone has, with the next judgement. Raises UM007 if there is no such '
    'budget, 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, UM008 for a subject that is on another shard '
    'or being moved. Example: BEGIN; SELECT amount FROM '
    'meter.set_budget(100, ''EUR'', subject => ''acct_1''); SELECT amount, removed FROM meter.remove_budget(''EUR'', subject => ''acct_1''); '
    'ROLLBACK;';
