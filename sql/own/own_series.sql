create or replace function own_series(
    subject text,
    metric text,
    since timestamptz,
    until timestamptz,
    step text default 'day',
    timezone text default 'UTC'
)
returns setof usage_bucket
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_series.subject);
    return query select * from series(own_series.subject, own_series.metric, own_series.since, own_series.until, own_series.step,
        own_series.timezone);
end
$$;

comment on function own_series(text, text, timestamptz, timestamptz, text, text) is
    'The same as series(), for a role that grant_access() has bound to the subject. Raises as series() does; 42501 if the role is not '
    'bound to the subject. '
    'Example: BEGIN; SET LOCAL ROLE portal; SELECT bucket_start, quantity FROM meter.own_series(''acct_1'', ''tokens'', since => '
    '''2026-06-17'', until => ''2026-06-19''); ROLLBACK;';
