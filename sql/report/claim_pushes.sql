-- Lanes are locked one by one, as a cursor fetches them, so concurrent callers get different lanes. Each call takes a bounded number of
-- pushes from a lane, so one customer with many pushes does not delay the others. Without sorting, lanes can only be read in the order of
-- report_lanes_awake, and their pushes from pushes_open, whatever the statistics say.
create or replace function claim_pushes(
    biller text,
    worker text,
    max_pushes integer default 100,
    lease interval default '2 minutes',
    now timestamptz default now()
)
returns setof claimed_push
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
set enable_sort to off
as $$
#variable_conflict use_column
declare
    c_per_lane constant integer := 50;
    v_biller billers;
    v_lane   record;
    v_locked report_lanes[] := array[]::report_lanes[];
    v_found  bigint := 0;
    v_lanes  cursor for
        select l as lane, (
            select least(count(*), c_per_lane) from ((
                select from pushes p
                where p.biller = l.biller and p.customer = l.customer and p.event_name = l.event_name and p.state = 'sending'
                order by p.due_at, p.push_id limit c_per_lane
            ) union all (
                select from pushes p
                where p.biller = l.biller and p.customer = l.customer and p.event_name = l.event_name and p.state = 'planned'
                  and p.next_attempt_at <= claim_pushes.now
                order by p.due_at, p.push_id limit c_per_lane
            )) p) as ready
        from report_lanes l
        where l.biller = claim_pushes.biller and l.wake_at <= claim_pushes.now
          and (l.leased_until is null or l.leased_until <= claim_pushes.now)
        order by l.due_at, l.wake_at
        for update of l skip locked;
begin
    if _is_open('claim_pushes') then perform _check_caller('claim_pushes'); end if;
    perform _check_name('biller', claim_pushes.biller, 100), _check_name('worker', claim_pushes.worker, 200),
        _check_max_rows(claim_pushes.max_pushes), _check_time('now', claim_pushes.now, required => true), _check_read_committed(),
        _check_journal(claim_pushes.biller), _require_durable_commit();
    select * into v_biller from billers b where b.biller = claim_pushes.biller;
    -- A push that is claimed just before dedup_margin begins may be sent until its lease ends, which must be within dedup_window.
    if claim_pushes.lease is null or claim_pushes.lease <= interval '0'
        or claim_pushes.lease > coalesce(v_biller.dedup_margin, '1 hour') then
        raise exception using
            errcode = '22023', message = 'lease is not positive or is longer than the biller''s dedup_margin', column = 'lease',
            detail = format('lease %s, dedup_margin %s.', claim_pushes.lease, coalesce(v_biller.dedup_margin, '1 hour')),
            hint = 'Use a lease longer than one attempt takes, such as 2 minutes.';
    end if;
    if v_biller.first_claimed_at is null then
        update billers b set first_claimed_at = claim_pushes.now
        where b.biller in (
            select n.biller from billers n
            where n.biller = claim_pushes.biller and n.first_claimed_at is null for no key update skip locked);
    end if;
    open v_lanes;
    while v_found < claim_pushes.max_pushes loop
        fetch v_lanes into v_lane;
        exit when not found;
        v_locked := v_locked || v_lane.lane;
        v_found := v_found + v_lane.ready;
    end loop;
    close v_lanes;
    if cardinality(v_locked) > 0 then
        return query select * from _claim_lanes(v_biller, v_locked, claim_pushes.worker, claim_pushes.max_pushes, c_per_lane,
            _shift(claim_pushes.now, claim_pushes.lease), claim_pushes.now);
    end if;
end
$$;

comment on function claim_pushes(text, text, integer, interval, timestamptz) is
    'Marks at most max_pushes planned pushes as sending and returns them, the earliest due_at first. Until the lease ends or all of them '
    'are settled, only this worker sends for their customers and event names. Commit before sending; send pushes of the same customer and '
    'event name one after another, and none after leased_until. Pushes whose worker let its lease expire are claimed again. Raises 55000 '
    'where the journal was restored or copied and has not been adopted (adopt_journal()), 22004 or 22023 for a bad value, 25001 in a '
    'REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT push_id, attempt, customer, event_name, value, stamped_at FROM '
    'meter.claim_pushes(''stripe'', ''worker_1'', now => ''2026-06-18 16:30+00'');';
