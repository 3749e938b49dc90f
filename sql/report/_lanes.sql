-- A lane may have many pushes, nearly all of them delivered. Only pushes_open returns them in the order that is asked for: without sorting, and
-- without joins that read lanes from end to end, it is the only plan, whatever the statistics say. The check for a ready push nearly always
-- ends at the first, so the minimum is computed only if it fails.
create or replace function _refresh_lanes(lanes report_lanes[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_sort to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    update report_lanes l set
        wake_at = case when n.is_sending or n.is_ready then _refresh_lanes.now else (
            select min(w.next_attempt_at) from (
                select p.next_attempt_at from pushes p
                where p.biller = l.biller and p.customer = l.customer and p.event_name = l.event_name and p.state = 'planned'
                order by p.due_at, p.push_id offset 0
            ) w) end,
        due_at = n.due_at,
        leased_until = case when n.is_sending then l.leased_until end,
        worker = case when n.is_sending then l.worker end
    from unnest(lanes) u
    cross join lateral (
        select (
                select true from pushes p
                where p.biller = u.biller and p.customer = u.customer and p.event_name = u.event_name and p.state = 'sending'
                order by p.due_at, p.push_id limit 1
            ) is true as is_sending, (
                select true from pushes p
                where p.biller = u.biller and p.customer = u.customer and p.event_name = u.event_name and p.state = 'planned'
                  and p.next_attempt_at <= _refresh_lanes.now
                order by p.due_at, p.push_id limit 1
            ) is true as is_ready, (
                select p.due_at from pushes p
                where p.biller = u.biller and p.customer = u.customer and p.event_name = u.event_name and p.state = 'planned'
                order by p.due_at, p.push_id limit 1
            ) as due_at
        offset 0
    ) n
    where l.biller = u.biller and l.customer = u.customer and l.event_name = u.event_name;
end
$$;

comment on function _refresh_lanes(report_lanes[], timestamptz) is
    'Recomputes when locked lanes next have something to send, and ends the lease of those that are not sending.';
