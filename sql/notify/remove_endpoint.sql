create or replace function remove_endpoint(name text)
returns endpoints
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_endpoint endpoints;
begin
    if _is_open('remove_endpoint') then perform _check_caller('remove_endpoint'); end if;
    perform _check_name('name', remove_endpoint.name, 64), _lock('catalog');
    v_endpoint := _get_endpoint(remove_endpoint.name);
    delete from deliveries d where d.endpoint = remove_endpoint.name;
    delete from endpoints e where e.name = remove_endpoint.name;
    perform _log_change('remove_endpoint', v_endpoint.name, to_jsonb(v_endpoint), null), _follow_recording(), _follow_periods(true);
    return v_endpoint;
end
$$;

comment on function remove_endpoint(text) is
    'Removes an endpoint with its deliveries, and returns what it was. Raises 22004 or 22023 for a bad name, UM007 if there is no such endpoint, '
    '55P03 after waiting for a lock for 5 seconds. Example: BEGIN; SELECT name FROM meter.define_endpoint(''ops'', ''mailto:ops@example.com'', '
    '''{*}'', format => ''email''); SELECT name FROM meter.remove_endpoint(''ops''); ROLLBACK;';
