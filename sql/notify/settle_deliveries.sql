-- A result of an earlier attempt is used only if it is delivered; otherwise the current attempt decides.
create or replace function settle_deliveries(worker text, results jsonb, now timestamptz default now())
returns setof settled_delivery
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    c_failures_max constant integer := 8;
    v_results      delivery_result[];
    v_ids          bigint[];
    v_names        text[];
    v_lanes        text[];
begin
    if _is_open('settle_deliveries') then perform _check_caller('settle_deliveries'); end if;
    perform _check_name('worker', settle_deliveries.worker, 200), _check_time('now', settle_deliveries.now, required => true),
        _check_read_committed();
    v_results := _parse_delivery_results(settle_deliveries.results);
    select array_agg(d.delivery_id), array_agg(d.endpoint), array_agg(d.lane) into v_ids, v_names, v_lanes
    from unnest(v_results) r
    cross join lateral (
        select d.delivery_id, d.endpoint, d.lane, d.message_id from deliveries d where d.delivery_id = r.delivery_id offset 0
    ) d
    where r.message_id is null or r.message_id = d.message_id;
    if v_ids is null then
        return;
    end if;
    perform _lock_endpoints(v_names), _note_failing(settle_deliveries.worker, v_results, settle_deliveries.now);
    update deliveries d set
        state = o.state, status = r.status, error = case when o.state = 'delivered' then null else coalesce(r.error, d.error) end,
        failures = o.failures, settled_at = case when o.state in ('delivered', 'dead') then settle_deliveries.now end,
        next_attempt_at = case when o.state = 'planned' then coalesce(
            case when r.outcome = 'failed' then _next_delivery_attempt(o.failures, r.retry_after, settle_deliveries.now) end,
            settle_deliveries.now) end
    from unnest(v_results) r
    cross join lateral (select q.* from deliveries q where q.delivery_id = r.delivery_id offset 0) q
    cross join lateral (select q.failures + (r.outcome in ('failed', 'gone'))::integer as failures) f
    cross join lateral (
        select f.failures, case r.outcome
            when 'delivered' then 'delivered'
            when 'gone' then 'dead'
            when 'failed' then case when f.failures < c_failures_max then 'planned' else 'dead' end
            else 'planned' end as state
    ) o
    where d.delivery_id = q.delivery_id and q.delivery_id = any (v_ids)
      and (q.state = 'sending' and q.attempts = r.attempt and q.worker = settle_deliveries.worker
           or r.outcome = 'delivered' and q.state <> 'delivered' and r.attempt between 1 and q.attempts);
    perform _disable_endpoints(array(
        select d.endpoint from unnest(v_results) r join deliveries d on d.delivery_id = r.delivery_id
        where r.outcome = 'gone' and d.delivery_id = any (v_ids) and d.state = 'dead' and d.attempts = r.attempt
          and d.settled_at = settle_deliveries.now), settle_deliveries.now);
    if exists (select from unnest(v_results) r where r.outcome <> 'delivered') then
        perform _reorder_lanes(v_names, v_lanes);
    end if;
    perform _start_lanes(v_names, v_lanes, settle_deliveries.now);
    return query
        select d.delivery_id, d.state, case when d.state = 'planned' then d.next_attempt_at end
        from deliveries d where d.delivery_id = any (v_ids)
        order by d.delivery_id;
end
$$;

comment on function settle_deliveries(text, jsonb, timestamptz) is
    'Records the results of claimed deliveries and returns their new states; the next delivery with the same endpoint and subject is then '
    'planned. results is an array of objects with delivery_id, attempt, outcome and, optionally, message_id, status, error and retry_after '
    '(seconds). Outcomes: delivered; failed (sent again after 5 s, 5 min, 30 min, 2, 5, 10 and 10 hours, not before retry_after, then dead); gone '
    '(the endpoint is disabled, and all of its open deliveries are dead); unsent (there was no attempt: it is due at once). A result with another '
    'message_id is ignored. Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after waiting '
    'for a lock for 5 seconds. Example: SELECT delivery_id, state FROM meter.settle_deliveries(''worker_1'', ''[{"delivery_id": 1, "attempt": 1, '
    '"outcome": "delivered", "status": 204}]'');';
