create or replace function own_project_usage(
    subject text,
    metric text default null,
    now timestamptz default now()
)
returns setof usage_projection
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_project_usage.subject);
    return query select * from project_usage(own_project_usage.subject, own_project_usage.metric, own_project_usage.now);
end
$$;

comment on function own_project_usage(text, text, timestamptz) is
    'The same as project_usage(), for a role that grant_access() has bound to the subject. Raises as project_usage() does; 42501 if the role is not '
    'bound to the subject. Example: BEGIN; SET LOCAL ROLE portal; SELECT metric, used, method, low, expected, high FROM '
    'meter.own_project_usage(''acct_1'', ''tokens''); ROLLBACK;';
