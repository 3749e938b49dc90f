create or replace function own_usage_by(
    subject text,
    metric text,
    dimension text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns setof usage_group
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_usage_by.subject);
    return query select * from usage_by(own_usage_by.subject, own_usage_by.metric, own_usage_by.dimension, own_usage_by.period,
        own_usage_by.since, own_usage_by.until, own_usage_by.timezone, own_usage_by.now);
end
$$;

comment on function own_usage_by(text, text, text, text, timestamptz, timestamptz, text, timestamptz) is
    'The same as usage_by(), for a role that grant_access() has bound to the subject. Raises as usage_by() does; 42501 if the role is not '
    'bound to the subject. '
    'Example: BEGIN; SET LOCAL ROLE portal; SELECT value, quantity FROM meter.own_usage_by(''acct_1'', ''tokens'', ''model'', since => '
    '''2026-06-01'', until => ''2026-07-01''); ROLLBACK;';
