-- Pushes of a worker whose lease has expired are sent again under the same identifier. Generic plans: every look-up uses an index, and
-- planning it each time would cost more than the look-up. Without sorting, a lane's pushes can only be read from pushes_open, whatever the
-- statistics say.
create or replace function _claim_lanes(
    biller billers, lanes report_lanes[], worker text, max_pushes integer, per_lane integer, leased_until timestamptz, now timestamptz
)
returns setof claimed_push
language plpgsql
volatile
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
set enable_sort to off
as $$
#variable_conflict use_column
declare
    v_push_ids bigint[];
    v_claimed  claimed_push[];
begin
    if exists (select from unnest(lanes) l where l.leased_until is not null) then
        update pushes p set state = 'planned', next_attempt_at = _claim_lanes.now
        from unnest(lanes) l
        where p.biller = l.biller and p.customer = l.customer and p.event_name = l.event_name and p.state = 'sending';
    end if;
    v_push_ids := array(
        select c.push_id
        from unnest(lanes) with ordinality l
        cross join lateral (
            select p.push_id, p.due_at from pushes p
            where p.biller = l.biller and p.customer = l.customer and p.event_name = l.event_name and p.state = 'planned'
              and p.next_attempt_at <= _claim_lanes.now and ((select _all_here()) or _is_home(p.subject))
            order by p.due_at, p.push_id limit _claim_lanes.per_lane
        ) c
        order by l.ordinality, c.due_at, c.push_id
        limit _claim_lanes.max_pushes);
    v_push_ids := _retire_stale_pushes(_claim_lanes.biller, v_push_ids, _claim_lanes.now);
    with claimed as (
        update pushes p set
            state = 'sending', attempts = p.attempts + 1, unsure_attempts = p.unsure_attempts + 1,
            unsure_since = coalesce(p.unsure_since, _claim_lanes.now), last_attempt_at = _claim_lanes.now,
            first_attempt_at = coalesce(p.first_attempt_at, _claim_lanes.now)
        where p.push_id = any (v_push_ids) and p.state = 'planned'
        returning p.*
    )
    select array_agg((c.push_id, c.attempts, c.subject, c.metric, c.identifier, c.customer, c.event_name, trim_scale(c.value)::text,
                      c.stamped_at, c.due_at, _claim_lanes.leased_until, c.statement_id, c.line, c.description, c.since, c.until,
                      case when c.statement_id is not null then (
                          select encode(t.hash, 'hex') from statements t where t.statement_id = c.statement_id) end)::claimed_push order by i.n)
    into v_claimed
    from claimed c
    join unnest(v_push_ids) with ordinality i (push_id, n) on i.push_id = c.push_id;

    update report_lanes l set leased_until = _claim_lanes.leased_until, worker = _claim_lanes.worker, wake_at = _claim_lanes.now
    from (select distinct c.customer, c.event_name from unnest(v_claimed) c) c
    where l.biller = (_claim_lanes.biller).biller and l.customer = c.customer and l.event_name = c.event_name;
    perform _refresh_lanes(array(
        select l from unnest(lanes) l
        where (l.customer, l.event_name) not in (select c.customer, c.event_name from unnest(v_claimed) c)), _claim_lanes.now);
    return query select * from unnest(v_claimed);
end
$$;

comment on function _claim_lanes(billers, report_lanes[], text, integer, integer, timestamptz, timestamptz) is
    'Claims the first pushes of locked lanes: at most per_lane each and max_pushes in total. Lanes without any are released.';
