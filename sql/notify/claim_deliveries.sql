-- An endpoint has at most c_in_flight deliveries in flight, whoever sends them, and c_failing while all attempts fail: one that hangs keeps few
-- connections of a sender, and one that is slow is not flooded. Endpoints take turns.
create or replace function claim_deliveries(
    worker text,
    max_deliveries integer default 100,
    lease interval default '2 minutes',
    now timestamptz default now()
)
returns setof claimed_delivery
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    c_in_flight constant integer := 16;
    c_failing   constant integer := 2;
    c_lease_max constant interval := '1 hour';
    v_due       text[];
    v_endpoints endpoints[];
begin
    if _is_open('claim_deliveries') then perform _check_caller('claim_deliveries'); end if;
    perform _check_name('worker', claim_deliveries.worker, 200), _check_max_rows(claim_deliveries.max_deliveries),
        _check_time('now', claim_deliveries.now, required => true), _check_read_committed(), _check_delivery_lease(claim_deliveries.lease);
    v_due := array(
        select e.name from endpoints e
        where e.disabled_at is null and exists (
            select from deliveries d
            where d.endpoint = e.name and d.state in ('planned', 'sending') and d.next_attempt_at <= claim_deliveries.now));
    if v_due = '{}' then
        return;
    end if;
    v_endpoints := _lock_endpoints(v_due);
    return query
        with chosen as (
            select d.delivery_id, e.url, e.format, e.secret_name
            from unnest(v_endpoints) e
            cross join lateral (
                select case when e.failing_since is null then c_in_flight else c_failing end - count(*) as free from deliveries d
                where d.endpoint = e.name and d.state in ('planned', 'sending') and d.state = 'sending'
                  and d.next_attempt_at > claim_deliveries.now and d.next_attempt_at <= claim_deliveries.now + c_lease_max
            ) f
            cross join lateral (
                select d.delivery_id, row_number() over (order by d.next_attempt_at, d.delivery_id) as turn
                from (
                    select d.delivery_id, d.next_attempt_at from deliveries d
                    where d.endpoint = e.name and d.state in ('planned', 'sending') and d.next_attempt_at <= claim_deliveries.now
                    order by d.next_attempt_at
                    limit greatest(f.free, 0)
                ) d
            ) d
            where e.disabled_at is null
            order by d.turn, d.delivery_id
            limit claim_deliveries.max_deliveries
        )
        update deliveries d set
            state = 'sending', attempts = d.attempts + 1, worker = claim_deliveries.worker,
            next_attempt_at = _shift(claim_deliveries.now, claim_deliveries.lease)
        from chosen c
        where d.delivery_id = c.delivery_id
        returning d.delivery_id, d.attempts, d.message_id, d.endpoint, c.url, c.format, c.secret_name, d.type, d.subject, d.body, d.next_attempt_at;
end
$$;

comment on function claim_deliveries(text, integer, interval, timestamptz) is
    'Marks at most max_deliveries planned deliveries as sending and returns them. Until the lease ends, only this worker sends them; one whose '
    'lease has ended without a result is claimed again, under the same message_id. Of the deliveries of an endpoint with the same subject one is '
    'in flight at a time, of an endpoint at most 16, and 2 while all attempts fail. Commit before sending. lease: from 1 second to 1 hour, longer '
    'than an attempt takes. Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after waiting '
    'for a lock for 5 seconds. Example: SELECT message_id, endpoint, url, body FROM meter.claim_deliveries(''worker_1'', now => ''2026-06-18 '
    '16:30+00'');';
