create or replace function test_endpoint(name text)
returns deliveries
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_endpoint     endpoints;
    v_notification notifications;
    v_delivery     deliveries;
begin
    if _is_open('test_endpoint') then perform _check_caller('test_endpoint'); end if;
    v_endpoint := _get_endpoint(test_endpoint.name);
    if v_endpoint.disabled_at is not null then
        raise exception using errcode = '22023', message = 'the endpoint is disabled', column = 'name',
            detail = format('endpoint %s: %s.', quote_literal(v_endpoint.name), v_endpoint.disabled_reason),
            hint = 'Enable it first: repeat define_endpoint().';
    end if;
    insert into notifications (type, data, planned_at) values ('endpoint.test', jsonb_build_object('endpoint', v_endpoint.name), now())
    returning * into v_notification;
    insert into deliveries (notification_id, endpoint, lane, type, message_id, body, state, next_attempt_at)
    values (v_notification.notification_id, v_endpoint.name, _message_id(v_notification), v_notification.type, _message_id(v_notification),
            _message_body(v_notification, v_endpoint.format), 'planned', now())
    returning * into v_delivery;
    return v_delivery;
end
$$;

comment on function test_endpoint(text) is
    'Plans a notification of the type endpoint.test for this endpoint alone, whatever types it asks for, and returns the delivery. It waits for '
    'no other delivery. deliveries() shows later whether it has arrived. Raises 22004 or 22023 for a bad name or a disabled endpoint, UM007 if '
    'there is no such endpoint, 55P03 after waiting for a lock for 5 seconds. Example: BEGIN; SELECT name FROM meter.define_endpoint(''ops'', '
    '''https://example.com/hook'', ''{*}''); SELECT type, state FROM meter.test_endpoint(''ops''); ROLLBACK;';
