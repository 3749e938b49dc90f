create or replace function define_endpoint(
    name text,
    url text,
    types text[] default null,
    secret_name text default null,
    format text default 'standard'
)
returns endpoints
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_before   endpoints;
    v_endpoint endpoints;
    v_types    text[] := define_endpoint.types;
    v_secret   text := define_endpoint.secret_name;
    v_periods  boolean;
begin
    if _is_open('define_endpoint') then perform _check_caller('define_endpoint'); end if;
    perform _lock('catalog');
    select coalesce(v_types, e.types), coalesce(v_secret, case when define_endpoint.format <> 'email' then e.secret_name end) into v_types, v_secret
    from (select 1) one left join endpoints e on e.name = define_endpoint.name;
    v_types := coalesce(v_types, '{*}');
    v_secret := nullif(v_secret, '');
    perform _check_endpoint(define_endpoint.name, define_endpoint.url, v_types, v_secret, define_endpoint.format);
    v_periods := exists (select from endpoints e where 'usage.aggregated' = any (e.types));
    v_before := (_lock_endpoints(array[define_endpoint.name]))[1];
    insert into endpoints as e (name, url, types, format, secret_name)
    values (define_endpoint.name, define_endpoint.url, array(select distinct t from unnest(v_types) t order by t),
            define_endpoint.format, v_secret)
    on conflict (name) do update set
        url = excluded.url, types = excluded.types, format = excluded.format, secret_name = excluded.secret_name, disabled_at = null,
        disabled_reason = null,
        failing_since = case when (e.url, e.format, e.secret_name) is not distinct from (excluded.url, excluded.format, excluded.secret_name)
                             then e.failing_since end
    returning * into v_endpoint;
    perform _redirect_deliveries(v_before, v_endpoint), _follow_recording(), _follow_periods(v_periods),
        _log_change('define_endpoint', v_endpoint.name, to_jsonb(v_before), to_jsonb(v_endpoint));
    return v_endpoint;
end
$$;

comment on function define_endpoint(text, text, text[], text, text) is
    'Defines where notifications are sent, or changes it, and returns the endpoint. From now on it receives the notifications of these '
    'types; {*} stands for all but usage.recorded and usage.aggregated, which are only written if an endpoint names them. format: standard '
    '(an http or https url; Standard Webhooks), slack (a Slack webhook) or email (a mailto url). secret_name: the name of the environment '
    'variable, or of the file, from which the sender reads the secret; the secret itself never comes to the database. standard: the key that '
    'signs; without one, messages are not signed. slack: the URL, if url is null. Of an endpoint that is '
    'there, types and secret_name stay as they are if null (a new one is sent all types); an empty secret_name removes it. What was planned and '
    'has not arrived is sent to the new URL, in the new format; what is being sent to the old one is sent again. Defining a disabled endpoint '
    'enables it; retry_deliveries() sends what it has missed. Raises 22004 or 22023 for a bad value, 55P03 after waiting '
    'for a lock for 5 seconds. Example: BEGIN; SELECT name, types, format '
    'FROM meter.define_endpoint(''ops'', ''https://example.com/hook'', ''{threshold.exceeded,limit.refused}'', secret_name => ''WEBHOOK_SECRET''); '
    'ROLLBACK;';
