create or replace function reserve_batch(requests jsonb)
returns setof reserved_batch
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_requests hold_request[];
    v_request  hold_request;
    v_owned    bigint[] := '{}';
    v_metric   metrics;
    v_result   reserved;
    v_results  reserved_batch[] := '{}';
begin
    if _is_open('reserve_batch') then perform _check_caller('reserve_batch'); end if;
    v_requests := _parse_holds(reserve_batch.requests);
    perform _check_homes(array(select r.subject from unnest(v_requests) r));
    for v_request in select * from unnest(v_requests) r order by r.digest, r.ordinal loop
        if _own_hold_key(v_request) then
            v_owned := v_owned || v_request.reservation_id;
        end if;
    end loop;
    perform _lock_batch_holds(array(select r from unnest(v_requests) r where r.reservation_id = any (v_owned)));
    foreach v_request in array v_requests loop
        if v_request.reservation_id = any (v_owned) then
            select * into v_metric from metrics m where m.key = v_request.metric;
            v_result := _hold(v_metric, _find_series_row(v_metric, v_request.subject), v_request);
        else
            v_result := _repeated_hold(v_request);
            if v_result.outcome = 'conflict' and v_result.reservation_id = any (v_owned) then  -- of this batch, and about to be undone
                v_result.reservation_id := null;
                v_result.held := 0;
                v_result.expires_at := null;
            end if;
        end if;
        v_results := v_results || (v_request.ordinal, v_result.reservation_id, v_result.outcome, v_result.held, v_result.used,
            v_result.held_total, v_result.remaining, v_result.quota, v_result.limited_by, v_result.expires_at)::reserved_batch;
        if v_result.outcome in ('refused', 'conflict') then
            perform _undo_holds(v_requests, v_owned);
            -- What this batch has reserved is gone; what was there before stays.
            v_results := array(
                select s from unnest(v_results) s
                where s.outcome in ('refused', 'conflict') or s.outcome = 'duplicate' and s.reservation_id <> all (v_owned));
            return query
                select * from unnest(v_results)
                union all
                select r.ordinal, null, 'skipped', 0, null, null, null, null, null, null
                from unnest(v_requests) r
                where r.ordinal not in (select s.ordinal from unnest(v_results) s)
                order by 1;
            return;
        end if;
    end loop;
    return query select * from unnest(v_results);
end
$$;

comment on function reserve_batch(jsonb) is
    'Reserves several quantities, of any subjects and metrics: all of them or none. requests: a JSON array of objects with the names of '
    'reserve()''s parameters; ttl is a text such as 10 minutes. They are decided in order, each with the holds of those before it. If one is '
    'refused or has a conflict, nothing is held: it has that outcome and the limit, and the others are skipped (those that an earlier call has '
    'reserved are duplicate, and stay). Returns one row for each request, in order. Raises as reserve() does, DETAIL names the request; 22004 or '
    '22023 if requests is not a JSON array of such objects. Example: BEGIN; SELECT quota FROM meter.set_limit(''tokens'', 100, subject => '
    '''acct_9''); SELECT ordinal, outcome, held, limited_by FROM meter.reserve_batch(''[{"subject": "acct_9", "metric": "tokens", "quantity": 60}, '
    '{"subject": "acct_9", "metric": "tokens", "quantity": 60}]''); ROLLBACK;';
