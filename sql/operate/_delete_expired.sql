create or replace function _delete_expired()
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_expired bigint[];
    v_count   bigint;
begin
    v_expired := array(
        select o.notification_id
        from notifications o
        where o.created_at < _add_duration(now(), _parse_duration(_setting_value('notifications_keep')), -1, 'UTC')
          and not exists (
              select from deliveries d
              where d.notification_id = o.notification_id and d.state in ('waiting', 'planned', 'sending'))
        order by o.notification_id
        limit 100000
        for update skip locked);
    -- A delivery that is retried meanwhile stays, with its notification.
    delete from deliveries d where d.delivery_id in (
        select o.delivery_id from deliveries o
        where o.notification_id = any (v_expired) and o.state in ('delivered', 'dead')
        for update skip locked);
    delete from notifications n
    where n.notification_id = any (v_expired) and not exists (select from deliveries d where d.notification_id = n.notification_id);
    get diagnostics v_count = row_count;
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
