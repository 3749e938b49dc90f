create or replace function extend(reservation_id bigint, ttl interval default null)
returns reserved
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('extend') then perform _check_caller('extend'); end if;
    return _change_hold(extend.reservation_id, _hold_ttl(extend.ttl));
end
$$;

comment on function extend(bigint, interval) is
    'Lets a reservation hold for ttl from now on: the heartbeat of a stream whose end is not known. Returns the reservation with the outcome held, '
    'or settled, released or expired if it no longer holds; then nothing changes. ttl: null: the setting reservation_ttl. Raises UM007 if there is '
    'no such reservation, 22004 for a null reservation_id, 22023 for a ttl that is not positive or longer than the setting reservation_ttl_max, '
    '40001 if a REPEATABLE READ or SERIALIZABLE transaction must be retried, UM008 for a subject that is on another shard or being moved. Example: '
    'BEGIN; SELECT e.outcome, e.held FROM '
    'meter.reserve(''acct_9'', ''tokens'', 80, ttl => ''1 minute'') r, meter.extend(r.reservation_id, ''5 minutes'') e; ROLLBACK;';
