create or replace function admin_log(object text default null, max_rows integer default 100, before_id bigint default null)
returns setof admin_log
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('admin_log') then perform _check_caller('admin_log'); end if;
    perform _check_max_rows(admin_log.max_rows);
    return query
        select l.*
        from admin_log l
        where (admin_log.object is null or l.object = admin_log.object)
          and (admin_log.before_id is null or l.entry_id < admin_log.before_id)
        order by l.entry_id desc
        limit admin_log.max_rows;
end
$$;

comment on function admin_log(text, integer, bigint) is
    'Returns what administrators have changed, the newest change first: who, when, with which function, and the object before and after. object: '
    'only changes of this metric, setting, subject, plan or role. Keyset paging: pass the smallest entry_id that was returned as before_id. '
    'Raises 22004 or 22023 for max_rows outside 1 to 10,000. Example: SELECT action, object, after ->> ''unit'' AS unit FROM '
    'meter.admin_log(max_rows => 1, object => ''tokens'');';
