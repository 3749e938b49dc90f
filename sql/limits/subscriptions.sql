create or replace function subscriptions(subject text, at timestamptz default null)
returns setof subscriptions
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('subscriptions') then perform _check_caller('subscriptions'); end if;
    perform _check_name('subject', subscriptions.subject), _check_here(subscriptions.subject), _check_time('at', subscriptions.at);
    return query
        select s.*
        from subscriptions s
        where s.subject = subscriptions.subject
          and (subscriptions.at is null or s.since <= subscriptions.at and coalesce(s.until, 'infinity') > subscriptions.at)
        order by s.since, s.plan;
end
$$;

comment on function subscriptions(text, timestamptz) is
    'Returns the subscriptions of a subject, the earliest first: all, or those at a time. Raises 22004 or 22023 for a bad value, UM008 for a '
    'subject that is on another shard or being moved. Example: '
    'SELECT plan, since, until FROM meter.subscriptions(''acct_1'');';
