-- A key without quantity and member is no event's: record() with it is a conflict, also after the reservation has been settled.
create or replace function _own_hold_key(request hold_request, is_inserted boolean default false)
returns boolean
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_owns boolean;
begin
    if (request).digest is null then
        return true;
    end if;
    if not is_inserted then
        insert into keys (event_id, at, digest) values ((request).reservation_id, now(), (request).digest)
        on conflict (digest) do nothing;
    end if;
    v_owns := is_inserted or found;
    -- Asked by a later statement, as in _record_event().
    if v_owns and exists (select from old_keys o where o.digest = (request).digest) then
        delete from keys k where k.digest = (request).digest;
        v_owns := false;
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _check_keys();
    end if;
    return v_owns;
end
$$;

comment on function _own_hold_key(hold_request, boolean) is
    'Inserts the key of a request, unless that has been done, and returns true, or false if it was used before. Another session with the key waits '
    'until the transaction ends. Raises 40001 as record() does.';

create or replace function _repeated_hold(request hold_request)
returns reserved
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_id     bigint := (_find_key((request).digest)).event_id;
    v_hold   reservations;
    v_checks limit_check[] := '{}';
    v_metric metrics;
begin
    select * into v_hold from reservations r where r.reservation_id = v_id;
    select * into v_metric from metrics m where m.key = (request).metric;
    if v_metric.limited then
        v_checks := _limit_checks(v_metric, _find_series_row(v_metric, (request).subject), coalesce(v_hold.at, now()), clock_timestamp());
    end if;
    return _reserved_result(
        v_hold, case when v_hold.quantity = (request).quantity and v_hold.minimum is not distinct from (request).minimum then 'duplicate'
                     else 'conflict' end, clock_timestamp(), v_checks);
end
$$;

comment on function _repeated_hold(hold_request) is
    'The result of reserve() for a repeated key: duplicate with the first reservation, or conflict if that was another request or the key is an '
    'event''s.';
