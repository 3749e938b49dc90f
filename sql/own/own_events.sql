create or replace function own_events(
    subject text,
    metric text default null,
    since timestamptz default null,
    until timestamptz default null,
    after_id bigint default null,
    max_rows integer default 100,
    after_at timestamptz default null
)
returns setof logged_events
language plpgsql
stable
security definer
set search_path from current
as $$
begin
    perform _check_own(own_events.subject);
    return query select * from events(own_events.subject, own_events.metric, own_events.since, own_events.until, own_events.after_id,
        own_events.max_rows, own_events.after_at);
end
$$;

comment on function own_events(text, text, timestamptz, timestamptz, bigint, integer, timestamptz) is
    'The same as events(), for a role that grant_access() has bound to the subject. Raises as events() does; 42501 if the role is not '
    'bound to the subject. '
    'Example: BEGIN; SET LOCAL ROLE portal; SELECT at, metric, quantity FROM meter.own_events(''acct_1'', since => ''2026-06-01'', until '
    '=> ''2026-07-01''); ROLLBACK;';
