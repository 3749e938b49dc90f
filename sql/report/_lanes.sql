-- A lane may hold many pushes. The check for a ready one nearly always ends at the first, so the minimum is computed only if it fails.
create or replace function _refresh_lanes(lanes report_lanes[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
as $$
#variable_conflict use_column
begin
    update report_lanes l set
        wake_at = case when n.sending or n.ready then _refresh_lanes.now else (
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
                  and p.next_attempt_at <= _refresh_lanes.now
            ) as ready, (
                select p.due_at from pushes p
                where p.biller = u.biller and p.customer = u.customer and p.event_name = u.event_name and p.state = 'planned'
                order by p.due_at limit 1
            ) as due_at
    ) n
    where l.biller = u.biller and l.customer = u.customer and l.event_name = u.event_name;
end
$$;

comment on function _refresh_lanes(report_lanes[], timestamptz) is
    'Recomputes when locked lanes next have something to send, and ends the lease of those that are not sending.';
