create or replace function _settle_checked(hold reservations, quantity numeric, at timestamptz, metadata jsonb)
returns recorded
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_locked record;
begin
    perform _check_settlement(hold, _settle_checked.quantity, _settle_checked.at, _settle_checked.metadata), _check_home((hold).subject);
    select * into v_locked from _lock_holds((hold).metric, (hold).subject);
    if (hold).state = 'settled' then
        return _repeated_result(v_locked.definition, (hold).subject,
            ((hold).reservation_id, (hold).settled_for, _key_digest((hold).metric, (hold).subject, (hold).idempotency_key),
             (hold).settled_quantity, null)::keys, _settle_checked.quantity, null, true);
    end if;
    if (v_locked.definition).after_close <> 'refuse' then
        return _write_settlement(v_locked.definition, v_locked.locked, hold, _settle_checked.quantity, _settle_checked.at, _settle_checked.metadata);
    end if;
    -- What has been used is recorded, if need be in a period that is not closed.
    begin
        return _write_settlement(v_locked.definition, v_locked.locked, hold, _settle_checked.quantity, _settle_checked.at, _settle_checked.metadata);
    exception when sqlstate 'UM004' then
        return _write_settlement(
            v_locked.definition, v_locked.locked, hold, _settle_checked.quantity, clock_timestamp(),
            coalesce(_settle_checked.metadata, '{}') || jsonb_build_object('used_at', _settle_checked.at));
    end;
end
$$;

comment on function _settle_checked(reservations, numeric, timestamptz, jsonb) is
    'What settle() does with a locked reservation if its short way does not. Raises as settle() does.';

create or replace function _write_settlement(
    definition metrics, locked series, hold reservations, quantity numeric, at timestamptz, metadata jsonb
)
returns recorded
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_now     timestamptz := clock_timestamp();
    v_is_late boolean := not _is_holding(hold, v_now);
begin
    update reservations r set
        state = 'settled', settled_quantity = _write_settlement.quantity, settled_at = v_now, settled_for = _write_settlement.at, is_late = v_is_late
    where r.reservation_id = (hold).reservation_id;
    if definition.limited then
        return _record_limited_event(
            definition, locked, (hold).reservation_id, _write_settlement.at, _write_settlement.quantity, null, (hold).idempotency_key,
            _write_settlement.metadata, true,
            case when v_is_late or _write_settlement.quantity > (hold).held or _write_settlement.at <> (hold).at then 'settle' else 'held' end, null);
    end if;
    -- The metric is locked, and cannot get its first limit meanwhile.
    return _count_event(definition, (hold).subject, (hold).reservation_id, _write_settlement.at, _write_settlement.quantity, null,
                        (hold).idempotency_key, _write_settlement.metadata, true);
end
$$;

comment on function _write_settlement(metrics, series, reservations, numeric, timestamptz, jsonb) is
    'Marks a reservation as settled and records its event. Raises UM004 as record() does.';

-- A metric that was retired meanwhile takes the event all the same.
create or replace function _check_settlement(hold reservations, quantity numeric, at timestamptz, metadata jsonb)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_metric metrics;
begin
    if _check_settlement.quantity is null then
        raise exception using errcode = '22004', message = 'quantity is null', column = 'quantity',
            detail = format('reservation_id %s.', (hold).reservation_id), hint = 'Pass what was used; 0 if nothing was.';
    end if;
    select * into v_metric from metrics m where m.key = (hold).metric;
    if _is_plain_event(v_metric.aggregate, null, (hold).subject, (hold).metric, _check_settlement.quantity, null, (hold).idempotency_key,
                       _check_settlement.at, _check_settlement.metadata) is not true then
        v_metric.retired_at := null;
        perform _check_event(v_metric, (hold).metric, (hold).subject, _check_settlement.quantity, null, (hold).idempotency_key,
                             _check_settlement.at, _check_settlement.metadata);
    end if;
end
$$;

comment on function _check_settlement(reservations, numeric, timestamptz, jsonb) is
    'Raises 22004 or 22023 for a value that no event of the reservation''s metric can have.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _merged_metadata(held jsonb, given jsonb)
returns jsonb
language sql
immutable parallel safe
as $$
    select case when held is null or given is null or jsonb_typeof(given) <> 'object' then coalesce(given, held) else held || given end
$$;

comment on function _merged_metadata(jsonb, jsonb) is
    'The metadata of the event that settles a reservation: what was given then, merged over that of the reservation.';
