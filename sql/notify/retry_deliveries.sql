create or replace function retry_deliveries(endpoint text default null, delivery_id bigint default null, now timestamptz default now())
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_endpoints text[];
    v_delivery  deliveries;
    v_names     text[];
    v_lanes     text[];
    v_hurried   bigint;
    v_count     bigint;
begin
    if _is_open('retry_deliveries') then perform _check_caller('retry_deliveries'); end if;
    perform _check_time('now', retry_deliveries.now, required => true), _check_read_committed();
    if retry_deliveries.delivery_id is not null then
        select * into v_delivery from deliveries d where d.delivery_id = retry_deliveries.delivery_id;
        if v_delivery.delivery_id is null or v_delivery.state = 'delivered' then
            raise exception using errcode = '22023', message = 'no such delivery to retry', column = 'delivery_id',
                detail = format('delivery_id %s%s.', retry_deliveries.delivery_id, ': ' || v_delivery.state),
                hint = 'deliveries(state => ''dead'') lists those that were given up.';
        end if;
    end if;
    if retry_deliveries.endpoint is not null and (_get_endpoint(retry_deliveries.endpoint)).disabled_at is not null then
        raise exception using errcode = '22023', message = 'the endpoint is disabled', column = 'endpoint',
            detail = format('endpoint %s.', quote_literal(retry_deliveries.endpoint)), hint = 'Enable it first: repeat define_endpoint().';
    end if;
    v_endpoints := array(
        select e.name from unnest(_lock_endpoints(array(
            select e.name from endpoints e
            where e.name = coalesce(retry_deliveries.endpoint, v_delivery.endpoint, e.name)))) e
        where e.disabled_at is null);
    update deliveries d set next_attempt_at = retry_deliveries.now, failures = 0
    where d.endpoint = any (v_endpoints) and d.state = 'planned' and d.next_attempt_at > retry_deliveries.now
      and (retry_deliveries.delivery_id is null or d.delivery_id = retry_deliveries.delivery_id);
    get diagnostics v_hurried = row_count;
    with replayed as (
        update deliveries d set state = 'waiting', failures = 0, settled_at = null
        where d.endpoint = any (v_endpoints) and d.state = 'dead'
          and (retry_deliveries.delivery_id is null or d.delivery_id = retry_deliveries.delivery_id)
        returning d.endpoint, d.lane
    )
    select array_agg(r.endpoint), array_agg(r.lane), count(*) into v_names, v_lanes, v_count from replayed r;
    perform _reorder_lanes(v_names, v_lanes), _start_lanes(v_names, v_lanes, retry_deliveries.now);
    return v_hurried + v_count;
end
$$;

comment on function retry_deliveries(text, bigint, timestamptz) is
    'Sends deliveries again that were given up (dead), under the same message_id, and at once those that wait for their next attempt: all, those '
    'of an endpoint, or one. They are sent in their first order, before later ones of the same subject; only one that is being sent already comes '
    'first. Those of disabled endpoints are left out. Returns how many. Raises 22004 or 22023 for a bad value, a disabled endpoint or a delivery '
    'that is unknown or has arrived, UM007 if there is no such endpoint, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after '
    'waiting for a lock for 5 seconds. Example: SELECT meter.retry_deliveries();';
