-- Lock order: rows of endpoints by name, then deliveries. What adds to a lane or settles its first delivery holds the lock of the endpoint, so
-- that no delivery waits behind one that is no longer there.
create or replace function _lock_endpoints(names text[])
returns endpoints[]
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
begin
    return array(
        select e from (
            select e from endpoints e where names is null or e.name = any (names) order by e.name for no key update
        ) l);
exception when lock_not_available then
    perform _raise_busy('endpoints');
end
$$;

comment on function _lock_endpoints(text[]) is
    'Locks endpoints in the order of their names, all for null, and returns them. Raises 55P03 after waiting for 5 seconds.';

create or replace function _start_lanes(endpoint_names text[], lanes text[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    update deliveries d set state = 'planned', next_attempt_at = _start_lanes.now
    from (select distinct u.endpoint, u.lane from unnest(endpoint_names, _start_lanes.lanes) u (endpoint, lane)) l
    cross join lateral (
        select w.delivery_id from deliveries w
        where w.endpoint = l.endpoint and w.lane = l.lane and w.state = 'waiting'
        order by w.delivery_id limit 1 offset 0
    ) f
    where d.delivery_id = f.delivery_id and not exists (
        select from deliveries h where h.endpoint = l.endpoint and h.lane = l.lane and h.state in ('planned', 'sending'));
end
$$;

comment on function _start_lanes(text[], text[], timestamptz) is
    'Plans the first waiting delivery of each lane that has none planned or being sent. Two arrays of equal length name the lanes; the caller has '
    'locked their endpoints.';

create or replace function _reorder_lanes(endpoint_names text[], lanes text[])
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    update deliveries d set state = 'waiting', next_attempt_at = null
    from (select distinct u.endpoint, u.lane from unnest(endpoint_names, _reorder_lanes.lanes) u (endpoint, lane)) l
    cross join lateral (
        select p.delivery_id from deliveries p
        where p.endpoint = l.endpoint and p.lane = l.lane and p.state in ('planned', 'sending')
        offset 0
    ) f
    where d.delivery_id = f.delivery_id and d.state = 'planned' and exists (
        select from deliveries w
        where w.endpoint = l.endpoint and w.lane = l.lane and w.state = 'waiting' and w.delivery_id < f.delivery_id);
end
$$;

comment on function _reorder_lanes(text[], text[]) is
    'Returns the planned delivery of each lane to the waiting ones if an earlier one waits, as it does after a retry. _start_lanes() comes next.';
