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
    'Locks lanes in the order of their primary key, creating missing ones; what is done with them is durable when it commits.';

-- Asked first is whether anything is ready, which the first open push nearly always is: a lane may hold many.
create or replace function _wake_lanes(lanes report_lanes[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
as $$
#variable_conflict use_column
begin
    update report_lanes l set
        wake_at = case when n.sending or n.ready then _wake_lanes.now else (
            select min(p.next_attempt_at) from pushes p
            where p.biller = l.biller and p.customer = l.customer and p.event_name = l.event_name and p.state = 'planned') end,
        due_at = n.due_at,
        leased_until = case when n.sending then l.leased_until end,
        worker = case when n.sending then l.worker end
    from unnest(lanes) u
    cross join lateral (
        select exists (
                select from pushes p
                where p.biller = u.biller and p.customer = u.customer and p.event_name = u.event_name and p.state = 'sending'
            ) as sending, exists (
                select from pushes p
                where p.biller = u.biller and p.customer = u.customer and p.event_name = u.event_name and p.state = 'planned'
                  and p.next_attempt_at <= _wake_lanes.now
            ) as ready, (
                select p.due_at from pushes p
                where p.biller = u.biller and p.customer = u.customer and p.event_name = u.event_name and p.state = 'planned'
                order by p.due_at limit 1
            ) as due_at
    ) n
    where l.biller = u.biller and l.customer = u.customer and l.event_name = u.event_name;
end
$$;

comment on function _wake_lanes(report_lanes[], timestamptz) is
    'Notes when there is something to do on lanes that are locked, and gives back those on which nothing is being sent.';
