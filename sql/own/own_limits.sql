create or replace function own_limits(subject text, metric text, at timestamptz default now())
returns setof effective_limit
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_limits.subject);
    return query select * from effective_limits(own_limits.subject, own_limits.metric, own_limits.at) e where e.counts;
end
$$;

comment on function own_limits(text, text, timestamptz) is
    'The limits that count for a subject and metric, as effective_limits() returns them, for a role that grant_access() has bound to the subject. '
    'Raises as effective_limits() does; 42501 if the role is not bound to the subject. Example: BEGIN; SELECT quota FROM '
    'meter.set_limit(''tokens'', 1000); SET LOCAL ROLE portal; SELECT name, period, quota FROM meter.own_limits(''acct_1'', ''tokens''); ROLLBACK;';
