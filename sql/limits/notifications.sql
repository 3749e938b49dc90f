create or replace function notifications(
    type text default null, subject text default null, after_id bigint default null, max_rows integer default 100,
    newest_first boolean default false
)
returns setof notifications
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('notifications') then perform _check_caller('notifications'); end if;
    perform _check_max_rows(notifications.max_rows);
    if notifications.newest_first is null then
        raise exception using errcode = '22004', message = 'newest_first is null', column = 'newest_first', hint = 'Give true or false.';
    elsif notifications.newest_first then
        return query
            select n.*
            from notifications n
            where (notifications.type is null or n.type = notifications.type)
              and (notifications.subject is null or n.subject = notifications.subject)
              and (notifications.after_id is null or n.notification_id < notifications.after_id)
            order by n.notification_id desc
            limit notifications.max_rows;
    else
        return query
            select n.*
            from notifications n
            where (notifications.type is null or n.type = notifications.type)
              and (notifications.subject is null or n.subject = notifications.subject)
              and (notifications.after_id is null or n.notification_id > notifications.after_id)
            order by n.notification_id
            limit notifications.max_rows;
    end if;
end
$$;

comment on function notifications(text, text, bigint, integer, boolean) is
    'Returns what there is to tell, the oldest first, or with newest_first the newest: threshold.approaching and threshold.exceeded (a mark of a '
    'limit was reached), threshold.cleared (usage is below it again), limit.refused (the first refused event of a period), and the other types that '
    'the page about notifications lists. data has the facts. Keyset paging: pass the last notification_id as after_id; a transaction that commits '
    'later may still write a smaller one. Raises 22004 or 22023 for max_rows outside 1 to 10,000, 22004 for a null newest_first. Example: SELECT '
    'type, metric, data ->> ''unit'' AS unit FROM meter.notifications(type => ''metric.defined'', max_rows => 1);';
