create or replace function own_usage(
    subject text,
    metric text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns usage_total
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_usage.subject);
    return usage(own_usage.subject, own_usage.metric, own_usage.period, own_usage.since, own_usage.until, own_usage.timezone,
        own_usage.now);
end
$$;

comment on function own_usage(text, text, text, timestamptz, timestamptz, text, timestamptz) is
    'The same as usage(), for a role that grant_access() has bound to the subject. Raises as usage() does; 42501 if the role is not bound '
    'to the subject. '
    'Example: BEGIN; SET LOCAL ROLE portal; SELECT quantity, unit, event_count FROM meter.own_usage(''acct_1'', ''tokens'', since => '
    '''2026-06-01'', until => ''2026-07-01''); ROLLBACK;';
