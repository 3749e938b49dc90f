create or replace function own_credits(subject text, at timestamptz default now())
returns setof credit
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_credits.subject);
    return query select * from credits(own_credits.subject, own_credits.at);
end
$$;

comment on function own_credits(text, timestamptz) is
    'The same as credits(), for a role that grant_access() has bound to the subject. Raises as credits() does; 42501 if the role is not bound to the '
    'subject. Example: BEGIN; SET LOCAL ROLE portal; SELECT remaining, currency, expires_at FROM meter.own_credits(''acct_1''); ROLLBACK;';
