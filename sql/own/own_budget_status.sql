create or replace function own_budget_status(subject text, now timestamptz default now())
returns setof budget_status
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_budget_status.subject);
    return query select * from budget_status(own_budget_status.subject, own_budget_status.now);
end
$$;

comment on function own_budget_status(text, timestamptz) is
    'The same as budget_status(), for a role that grant_access() has bound to the subject. Raises as budget_status() does; 42501 if the role is not '
    'bound to the subject. Example: BEGIN; SELECT amount FROM meter.set_budget(100, ''EUR''); SET LOCAL ROLE portal; SELECT amount, spent, '
    'remaining, currency FROM meter.own_budget_status(''acct_1''); ROLLBACK;';
