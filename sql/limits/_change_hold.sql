create or replace function _lock_reservation(reservation_id bigint)
returns reservations
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_hold reservations;
begin
    if _lock_reservation.reservation_id is null then
        raise exception using errcode = '22004', message = 'reservation_id is null', column = 'reservation_id',
            hint = 'Pass the reservation_id that reserve() returned.';
    end if;
    select * into v_hold from reservations r where r.reservation_id = _lock_reservation.reservation_id for update;
    if not found then
        raise exception using
            errcode = 'UM007', message = 'no such reservation', column = 'reservation_id',
            detail = format('reservation_id %s.', _lock_reservation.reservation_id),
            hint = 'Pass the reservation_id that reserve() returned. maintain(keep) deletes reservations with the months that it drops.';
    end if;
    return v_hold;
end
$$;

comment on function _lock_reservation(bigint) is
    'Locks a reservation until the transaction ends, and returns it. Raises 22004 for a null, UM007 if there is none with that id.';

-- The clock is read after the row of the series was locked: whoever decided before that has counted the hold as it was.
create or replace function _change_hold(reservation_id bigint, extended_by interval)
returns reserved
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_hold   reservations := _lock_reservation(_change_hold.reservation_id);
    v_locked record;
    v_now    timestamptz;
    v_checks limit_check[] := '{}';
begin
    perform _check_home(v_hold.subject);
    select * into v_locked from _lock_holds(v_hold.metric, v_hold.subject);
    v_now := clock_timestamp();
    if _is_holding(v_hold, v_now) then
        update reservations r set
            state = case when extended_by is null then 'released' else 'held' end,
            settled_at = case when extended_by is null then v_now end,
            expires_at = case when extended_by is null then r.expires_at else v_now + extended_by end
        where r.reservation_id = v_hold.reservation_id
        returning * into v_hold;
    elsif v_hold.state = 'held' then
        v_hold.state := 'expired';
    end if;
    if (v_locked.definition).limited then
        v_checks := _limit_checks(v_locked.definition, v_locked.locked, v_hold.at, v_now);
        perform _note_holds(v_locked.definition, v_locked.locked, v_checks, v_hold.at, v_now);
    end if;
    return _reserved_result(v_hold, v_hold.state, v_now, v_checks);
end
$$;

comment on function _change_hold(bigint, interval) is
    'What extend() does, or release() if extended_by is null. Changes nothing if the reservation no longer holds. Raises 22004 or UM007.';
