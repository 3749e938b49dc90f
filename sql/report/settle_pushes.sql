-- A result of an earlier attempt is used only if it is delivered; otherwise the current attempt decides.
-- A push that is refused after an attempt with an unknown outcome may have been counted by that attempt, so it is uncertain, not rejected.
create or replace function settle_pushes(biller text, worker text, results jsonb, now timestamptz default now())
returns setof settled_push
language plpgsql
volatile
security definer
set search_path from current
set plan_cache_mode to 'force_generic_plan'
set enable_seqscan to off
set enable_bitmapscan to off
as $$
#variable_conflict use_column
declare
    v_results  push_result[];
    v_push_ids bigint[];
    v_biller   billers;
    v_window   interval;
    v_lanes    report_lanes[];
begin
    if _is_open('settle_pushes') then perform _check_caller('settle_pushes'); end if;
    perform _check_name('biller', settle_pushes.biller, 100), _check_name('worker', settle_pushes.worker, 200),
        _check_time('now', settle_pushes.now, required => true), _check_read_committed();
    select * into v_biller from billers b where b.biller = settle_pushes.biller;
    v_window := v_biller.dedup_window - v_biller.dedup_margin;
    v_results := _parse_results(settle_pushes.results);
    -- After a failover another push may have the same push_id. OFFSET 0: a push is found by it and not by its biller, who has many.
    v_results := array(
        select r from unnest(v_results) r
        where exists (
            select from (select p.biller, p.identifier from pushes p where p.push_id = r.push_id offset 0) p
            where p.biller = settle_pushes.biller and (r.identifier is null or r.identifier = p.identifier)));
    v_push_ids := array(select push_id from unnest(v_results));
    v_lanes := array(
        select distinct (p.biller, p.customer, p.event_name, null, null, null, null)::report_lanes
        from pushes p where p.push_id = any (v_push_ids));
    perform _lock_lanes(v_lanes);

    update pushes p set
        state = o.state, error = coalesce(r.error, case when o.state <> 'delivered' then p.error end),
        reason = case when o.state = 'rejected' then 'refused' else p.reason end,
        unsure_attempts = o.unsure, unsure_since = case when o.unsure > 0 then p.unsure_since end,
        settled_at = case when o.state in ('delivered', 'rejected') then settle_pushes.now end,
        next_attempt_at = case when o.state <> 'planned' then settle_pushes.now
            else _next_attempt(r.outcome, p.attempts, r.retry_after, settle_pushes.now,
                case when o.unsure > 0 and p.mode <> 'last' then _shift(p.unsure_since, v_window) end) end
    from unnest(v_results) r, pushes q
    cross join lateral (
        select case when r.outcome = 'unknown' then q.unsure_attempts
                    when r.outcome = 'delivered' or q.mode = 'last' and r.outcome = 'rejected' then 0
                    else q.unsure_attempts - 1 end as unsure
    ) u
    cross join lateral (
        select u.unsure, case
            when r.outcome = 'delivered' then 'delivered'
            when r.outcome = 'rejected' and u.unsure = 0 then 'rejected'
            when r.outcome = 'rejected' then 'uncertain'
            when u.unsure > 0 and q.mode <> 'last' and _shift(q.unsure_since, v_window) <= settle_pushes.now then 'uncertain'
            else 'planned'
        end as state
    ) o
    where q.push_id = any (v_push_ids) and q.push_id = r.push_id
      and p.subject = q.subject and p.push_id = q.push_id and ((select _all_here()) or _is_here(q.subject))
      and (q.state = 'sending' and q.attempts = r.attempt
           or r.outcome = 'delivered' and r.attempt between 1 and q.attempts
              and (q.state in ('planned', 'sending', 'uncertain', 'held', 'left') or q.state = 'rejected' and q.reason <> 'failed'));
    perform _note_late_deliveries(settle_pushes.biller, array(
        select r.push_id from unnest(v_results) r where r.outcome = 'delivered'));
    perform _refresh_lanes(v_lanes, settle_pushes.now);
    return query
        select p.push_id, p.state, p.reason, case when p.state = 'planned' then p.next_attempt_at end
        from pushes p where p.push_id = any (v_push_ids)
        order by p.push_id;
end
$$;

comment on function settle_pushes(text, text, jsonb, timestamptz) is
    'Records the results of claimed pushes and returns their new states. results is an array of objects with push_id, attempt, outcome and, '
    'optionally, identifier, error and retry_after (seconds). Outcomes: delivered; rejected (permanently refused); unknown (may have been '
    'counted: resent under the same identifier while the biller recognises it, then uncertain); not_applied (not counted: sent again later, '
    'not before retry_after, immediately if that is 0). A result whose identifier is not that of its push_id is ignored. A push of '
    'a subject that has moved to another shard is replaced, reason moved: nothing changes here, its new home takes the result. Raises 22004 or '
    '22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT push_id, state, reason FROM '
    'meter.settle_pushes(''stripe'', ''worker_1'', ''[
    {"push_id": 1, "attempt": 1, "outcome": "delivered"},
    {"push_id": 3, "attempt": 1, "outcome": "rejected", "error": "No such customer"}
]'', now => ''2026-06-18 16:31+00'');';
