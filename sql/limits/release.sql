create or replace function release(reservation_id bigint)
returns reserved
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('release') then perform _check_caller('release'); end if;
    return _change_hold(release.reservation_id, null);
end
$$;

comment on function release(bigint) is
    'Ends a reservation whose usage does not happen: what it held is free again. Returns the reservation with the outcome released, also if it was '
    'released before; settled or expired if that came first, and then nothing changes. Usage that happened all the same can still be settled '
    '(settle()). Raises UM007 if there is no such reservation, 22004 for a null, 40001 if a REPEATABLE READ or SERIALIZABLE transaction must be '
    'retried, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT quota FROM meter.set_limit(''tokens'', 100, '
    'subject => ''acct_9''); SELECT r.held, e.outcome, e.held_total, '
    'e.remaining FROM meter.reserve(''acct_9'', ''tokens'', 80) r, meter.release(r.reservation_id) e; ROLLBACK;';
