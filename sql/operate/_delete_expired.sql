create or replace function _delete_expired()
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_count bigint;
begin
    with deleted as (
        delete from notifications n where n.notification_id in (
            select o.notification_id
            from notifications o
            where o.created_at < _add_duration(now(), _parse_duration(_setting_value('notifications_keep')), -1, 'UTC')
              and not exists (
                  select from deliveries d
                  where d.notification_id = o.notification_id and d.state in ('waiting', 'planned', 'sending'))
            order by o.notification_id
            limit 100000)
        returning n.notification_id
    ), forgotten as (
        delete from deliveries d using deleted n where d.notification_id = n.notification_id
    )
    select count(*) into v_count from deleted;
    if v_count > 0 then
        return next ('deleted notifications', v_count)::maintenance_action;
    end if;
    delete from unreported u where u.biller = '' and not _is_asked_for('usage.recorded');
    delete from admin_log a where a.changed_at < _add_duration(now(), _parse_duration(_setting_value('admin_log_keep')), -1, 'UTC');
    get diagnostics v_count = row_count;
    if v_count > 0 then
        return next ('deleted admin log', v_count)::maintenance_action;
    end if;
end
$$;

comment on function _delete_expired() is
    'Deletes notifications, with their deliveries, and entries of admin_log that are older than the settings say, at most 100,000 notifications a '
    'call. What is still to be sent stays. Events that were queued for usage.recorded are deleted if no endpoint asks for that any more.';
