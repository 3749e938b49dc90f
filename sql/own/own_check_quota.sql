create or replace function own_check_quota(subject text, metric text, requested numeric default null, now timestamptz default now())
returns quota_status
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_check_quota.subject);
    return check_quota(own_check_quota.subject, own_check_quota.metric, requested => own_check_quota.requested, now => own_check_quota.now);
end
$$;

comment on function own_check_quota(text, text, numeric, timestamptz) is
    'What check_quota() answers from the limits of a subject, for a role that grant_access() has bound to the subject. Raises as check_quota() '
    'does; 42501 if the role is not bound to the subject. Example: BEGIN; SELECT quota FROM meter.set_limit(''tokens'', 1000); SET LOCAL ROLE '
    'portal; SELECT allowed, quota, limited_by FROM meter.own_check_quota(''acct_1'', ''tokens'', requested => 2000); ROLLBACK;';
