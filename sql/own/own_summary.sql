create or replace function own_summary(
    subject text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns setof usage_total
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_summary.subject);
    return query select * from summary(own_summary.subject, own_summary.period, own_summary.since, own_summary.until,
        own_summary.timezone, own_summary.now);
end
$$;

comment on function own_summary(text, text, timestamptz, timestamptz, text, timestamptz) is
    'The same as summary(), for a role that grant_access() has bound to the subject. Raises as summary() does; 42501 if the role is not '
    'bound to the subject. '
    'Example: BEGIN; SET LOCAL ROLE portal; SELECT metric, quantity, unit FROM meter.own_summary(''acct_1'', since => ''2026-06-01'', '
    'until => ''2026-07-01''); ROLLBACK;';
