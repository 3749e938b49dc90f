-- Lock order of reporting: the planning lock, then lanes by primary key, then pushes, which nobody changes without their lane.
create or replace function _lock_lanes(lanes report_lanes[])
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
as $$
#variable_conflict use_column
begin
    perform _require_durable_commit();
    insert into report_lanes (biller, customer, event_name)
    select biller, customer, event_name from unnest(lanes) group by 1, 2, 3 order by 1, 2, 3
    on conflict (biller, customer, event_name) do nothing;
    perform from report_lanes l
    where (l.biller, l.customer, l.event_name) in (select u.biller, u.customer, u.event_name from unnest(lanes) u)
    order by l.biller, l.customer, l.event_name
    for update;
end
$$;

comment on function _lock_lanes(report_lanes[]) is 
    'Locks lanes in the order of their primary key, the missing ones are created; what is done with them is durable at its commit.';
