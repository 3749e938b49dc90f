create or replace function pushes(
    biller text default 'stripe',
    state text default null,
    subject text default null,
    max_rows integer default 100,
    after_id bigint default null
)
returns setof pushes
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('pushes') then perform _check_caller('pushes'); end if;
    perform _check_name('biller', pushes.biller, 100), _check_max_rows(pushes.max_rows), _check_here(pushes.subject);
    return query
        select p.* from pushes p
        where p.biller = pushes.biller and ((select _all_here()) or _is_here(p.subject)) and (pushes.state is null or p.state = pushes.state)
          and (pushes.subject is null or p.subject = pushes.subject) and (pushes.after_id is null or p.push_id < pushes.after_id)
        order by p.push_id desc
        limit pushes.max_rows;
end
$$;

comment on function pushes(text, text, text, integer, bigint) is
    'The journal: pushes, newest first, all or those in one state or of one subject, at most max_rows (1 to 10,000). For the next page, '
    'pass the last row''s push_id as after_id. Raises 22004 or 22023 for a bad value, UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT customer, value, state, reason, error '
    'FROM meter.pushes(subject => ''acct_2'');';
