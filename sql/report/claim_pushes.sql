-- Lanes are locked one by one, as a cursor fetches them, so that two callers divide them among themselves. A lane gives a bounded
-- number, and goes to the end of the line with what is left: one customer with much to send does not keep the others waiting.
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
as $$
#variable_conflict use_column
declare
    c_per_lane constant integer := 50;
    v_until  timestamptz := _shift(claim_pushes.now, claim_pushes.lease);
    v_left   integer := claim_pushes.max_pushes;
    v_biller billers;
    v_lane   report_lanes;
    v_pushes claimed_push[];
    v_lanes  cursor for
        select * from report_lanes l
        where l.biller = claim_pushes.biller and l.wake_at <= claim_pushes.now
          and (l.leased_until is null or l.leased_until <= claim_pushes.now)
        order by l.due_at, l.wake_at
        for update skip locked;
begin
    perform _check_name('biller', claim_pushes.biller, 100), _check_name('worker', claim_pushes.worker, 200),
        _check_max_rows(claim_pushes.max_pushes), _check_moment('now', claim_pushes.now), _check_read_committed();
    if claim_pushes.lease is null or claim_pushes.lease <= interval '0' then
        raise exception using
            errcode = '22023', message = 'lease is not a time to come', column = 'lease',
            detail = format('lease %s.', claim_pushes.lease), hint = 'Give more than any one attempt takes, such as 2 minutes.';
    end if;
    select * into v_biller from billers b where b.biller = claim_pushes.biller;
    open v_lanes;
    while v_left > 0 loop
        fetch v_lanes into v_lane;
        exit when not found;
        v_pushes := array(select c from _claim_lane(
            v_biller, v_lane, claim_pushes.worker, least(v_left, c_per_lane), v_until, claim_pushes.now) c);
        if cardinality(v_pushes) > 0 then
            update report_lanes l set leased_until = v_until, worker = claim_pushes.worker, wake_at = claim_pushes.now
            where l.biller = v_lane.biller and l.customer = v_lane.customer and l.event_name = v_lane.event_name;
        else
            perform _wake_lanes(array[v_lane], claim_pushes.now);
        end if;
        v_left := v_left - cardinality(v_pushes);
        return query select * from unnest(v_pushes);
    end loop;
    close v_lanes;
end
$$;

comment on function claim_pushes(text, text, integer, interval, timestamptz) is
    'Marks pushes as being sent and returns them, what is due first. Their customer and event name are the worker''s alone until the '
    'lease ends or the last of them is settled; send those of one customer and event name one after another, nothing after '
    'leased_until, and commit before sending. What another worker has claimed and its lease has ended is claimed with the rest. '
    'Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction.';
