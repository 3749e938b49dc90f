-- The short way is that of record(), with what was held given back to what the limit leaves. unchecked_below stays, see reserve().
create or replace function settle(reservation_id bigint, quantity numeric, at timestamptz default null, metadata jsonb default null)
returns recorded
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_quantity numeric := trim_scale(settle.quantity);
    v_hold     reservations;
    v_metadata jsonb := settle.metadata;
    v_series   integer;
    v_billers  text[];
    v_after    timestamptz;
    v_recorded recorded;
begin
    if _is_open('settle') then perform _check_caller('settle'); end if;
    if v_quantity >= 0 and v_quantity < 1e50 and scale(v_quantity) <= 50 and current_setting('transaction_isolation') = 'read committed' then
        update reservations r set
            state = 'settled', settled_quantity = v_quantity, settled_at = clock_timestamp(), settled_for = coalesce(settle.at, r.at)
        where r.reservation_id = settle.reservation_id and r.state = 'held'
        returning * into v_hold;
        v_metadata := _merged_metadata(v_hold.metadata, settle.metadata);
        update series s set
            fine_last_at = greatest(s.fine_last_at, v_hold.settled_for), coarse_last_at = greatest(s.coarse_last_at, v_hold.settled_for),
            version = s.version + 1, fine_count = s.fine_count + 1, coarse_count = s.coarse_count + 1,
            fine_total = s.fine_total + v_quantity, coarse_total = s.coarse_total + v_quantity,
            exhausted_at = s.exhausted_at + v_hold.held, limit_held = s.limit_held - v_hold.held
        where s.metric = v_hold.metric and s.subject = v_hold.subject and s.stripe = 0 and s.is_ordinary
          and (s.limited_by is null or s.limit_held is not null)
          and s.coarse_total + v_quantity < s.unchecked_below and clock_timestamp() < s.unchecked_until and clock_timestamp() < v_hold.expires_at
          and v_hold.settled_for >= s.fine_start and v_hold.settled_for < s.fine_end and v_hold.settled_for <= now()
          and v_hold.at >= s.fine_start and v_hold.at < s.fine_end
          and (v_metadata is null or jsonb_typeof(v_metadata) = 'object' and octet_length(v_metadata::text) <= 65536)
          and s.revision = (select m.revision from metrics m where m.key = v_hold.metric)
        returning s.series_id, s.billers, v_hold.reservation_id, 'recorded', trim_scale(s.coarse_total), s.unit, s.coarse_start,
            nullif(s.coarse_end, 'infinity'), trim_scale(s.exhausted_at - s.coarse_total), s.limited_by,
            s.recorded_after
        into v_series, v_billers, v_recorded.event_id, v_recorded.outcome, v_recorded.quantity, v_recorded.unit, v_recorded.period_start,
            v_recorded.period_end, v_recorded.remaining, v_recorded.limited_by, v_after;
    end if;
    if v_series is null then
        if v_hold.reservation_id is null then
            v_hold := _lock_reservation(settle.reservation_id);
        else
            v_hold.state := 'held';  -- as it was
        end if;
        return _settle_checked(v_hold, v_quantity, coalesce(settle.at, v_hold.at), _merged_metadata(v_hold.metadata, settle.metadata));
    end if;
    insert into events (event_id, at, recorded_at, series_id, quantity, idempotency_key, metadata)
    values (v_hold.reservation_id, v_hold.settled_for, greatest(clock_timestamp(), v_after), v_series, v_quantity, v_hold.idempotency_key,
            v_metadata);
    if v_billers is not null then
        insert into unreported (at, event_id, series_id, biller) select v_hold.settled_for, v_hold.reservation_id, v_series, unnest(v_billers);
    end if;
    return v_recorded;
end
$$;

comment on function settle(bigint, numeric, timestamptz, jsonb) is
    'Ends a reservation and records what was used, as the event with the reservation''s id and key. The quantity counts as it is: more than was '
    'held, and more than the limits leave, is never refused; check_quota() and overruns() show what is beyond. It counts once: the same quantity '
    'again is duplicate, another a conflict. After release() or expiry it is recorded too, and the reservation is marked as late. quantity: in the '
    'metric''s unit. at: when the usage happened; null: when it was reserved. metadata: merged over that of reserve(). Returns what record() '
    'returns. Raises UM007 if there is no such reservation, 22004 or 22023 for a bad value, 40001 if a REPEATABLE READ or SERIALIZABLE transaction '
    'must be retried, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT quota FROM meter.set_limit(''tokens'', '
    '100, subject => ''acct_9''); SELECT s.outcome, s.quantity, '
    's.remaining FROM meter.reserve(''acct_9'', ''tokens'', 80) r, meter.settle(r.reservation_id, 35) s; ROLLBACK;';
