create or replace function own_balance(subject text, metric text, at timestamptz default now())
returns balance
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_balance.subject);
    return balance(own_balance.subject, own_balance.metric, own_balance.at);
end
$$;

comment on function own_balance(text, text, timestamptz) is
    'What balance() returns, for a role that grant_access() has bound to the subject. Raises as balance() does; 42501 if the role is not bound to '
    'the '
    'subject. Example: BEGIN; SELECT quota FROM meter.set_limit(''tokens'', 1000); SET LOCAL ROLE portal; SELECT quota, remaining, top_ups FROM '
    'meter.own_balance(''acct_1'', ''tokens''); ROLLBACK;';
