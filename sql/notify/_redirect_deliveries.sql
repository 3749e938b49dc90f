-- A result of an attempt at the old URL says nothing about the new one: of what was in flight, only an arrival still counts.
create or replace function _redirect_deliveries(before endpoints, endpoint endpoints)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if before.name is null or (before.url, before.format, before.secret_name) is not distinct from
        ((_redirect_deliveries.endpoint).url, (_redirect_deliveries.endpoint).format, (_redirect_deliveries.endpoint).secret_name)
    then
        return;
    end if;
    update deliveries d set state = 'planned', next_attempt_at = least(d.next_attempt_at, clock_timestamp())
    where d.endpoint = before.name and d.state = 'sending';
    if before.format <> (_redirect_deliveries.endpoint).format then
        update deliveries d set body = _message_body(n, (_redirect_deliveries.endpoint).format)
        from notifications n
        where d.endpoint = before.name and d.state in ('waiting', 'planned', 'dead') and n.notification_id = d.notification_id;
    end if;
end
$$;

comment on function _redirect_deliveries(endpoints, endpoints) is
    'Plans what is being sent to an endpoint again after its URL, secret or format has changed, and writes bodies that have not arrived in the new '
    'format. The caller has locked the endpoint.';
