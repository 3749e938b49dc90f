create or replace function plan_deliveries(max_notifications integer default 1000, now timestamptz default now())
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_endpoints endpoints[];
    v_known     text[];
    v_written   bigint;
    v_planned   notifications[];
    v_names     text[];
    v_lanes     text[];
begin
    if _is_open('plan_deliveries') then perform _check_caller('plan_deliveries'); end if;
    perform _check_max_rows(plan_deliveries.max_notifications), _check_time('now', plan_deliveries.now, required => true),
        _check_read_committed();
    perform _notify_top_ups_each_minute();
    v_endpoints := _lock_endpoints(null);
    if v_endpoints = '{}' then
        return 0;
    end if;
    v_known := array(select e.name from unnest(v_endpoints) e);
    v_written := _write_recorded(plan_deliveries.max_notifications) + _announce_periods(plan_deliveries.max_notifications, plan_deliveries.now);
    with planned as (
        update notifications n set planned_at = plan_deliveries.now
        where n.notification_id = any (array(
            select o.notification_id from notifications o
            where o.planned_at is null
            order by o.notification_id
            limit plan_deliveries.max_notifications))
          -- An endpoint that was defined after the locking: the next call plans for it too.
          and not exists (select from endpoints e where e.name <> all (v_known))
        returning n
    )
    select array_agg(n order by (n).notification_id) into v_planned from planned;
    with inserted as (
        insert into deliveries (notification_id, endpoint, subject, lane, type, message_id, body, state, error, settled_at)
        select n.notification_id, e.name, n.subject, coalesce(n.subject, ''), n.type, _message_id(n), _message_body(n, e.format),
               case when e.disabled_at is null then 'waiting' else 'dead' end,
               case when e.disabled_at is not null then 'the endpoint is disabled' end,
               case when e.disabled_at is not null then plan_deliveries.now end
        from unnest(v_planned) n
        join unnest(v_endpoints) e on _asks_for(e.types, n.type) and n.created_at >= e.since
        order by n.notification_id, e.name
        returning endpoint, lane, state
    )
    select array_agg(i.endpoint), array_agg(i.lane) into v_names, v_lanes
    from (select distinct i.endpoint, i.lane from inserted i where i.state = 'waiting') i;
    perform _start_lanes(v_names, v_lanes, plan_deliveries.now);
    return v_written + coalesce(cardinality(v_planned), 0) + (exists (select from endpoints e where e.name <> all (v_known)))::integer;
end
$$;

comment on function plan_deliveries(integer, timestamptz) is
    'Plans a delivery of each new notification to each endpoint that asks for its type, in the order in which they were written, and writes '
    'usage.recorded and usage.aggregated if an endpoint asks for them; once a minute, also top_up.depleted and top_up.expired, of the 300 subjects '
    'that were looked at longest ago. Returns how many notifications it looked at or wrote, at most max_notifications of each kind: call it until '
    'it returns 0. Deliveries to a disabled endpoint are dead at once, so that they can be retried. Raises 22004 or 22023 for a bad value, 25001 '
    'in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after waiting for a lock for 5 seconds. Example: SELECT meter.plan_deliveries() >= 0 '
    'AS planned;';
