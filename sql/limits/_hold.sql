-- What is held changes under the lock of the series' row, so that decisions and holds are made one after the other. The row of a series changes
-- each time: a transaction with an older snapshot, which would not see the hold, then fails with 40001. Of a metric without limits, the metric's row
-- is locked instead, and its first limit waits: from then on everybody counts the hold.
create or replace function _lock_holds(metric text, subject text, out definition metrics, out locked series)
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _pin_metrics(array[_lock_holds.metric]);
    end if;
    select * into definition from metrics m where m.key = _lock_holds.metric;
    if not definition.limited then
        select * into definition from metrics m where m.key = _lock_holds.metric for share;
    end if;
    if definition.limited then
        locked := _lock_limited_series(definition, _lock_holds.subject);
    end if;
end
$$;

comment on function _lock_holds(text, text) is
    'Locks what a subject holds of a metric until the transaction ends: the row of the series, or its subject if there is none, or the metric if it '
    'has no limits. Returns the metric and the row, whose fields are null if there is none.';

create or replace function _hold(definition metrics, locked series, request hold_request)
returns reserved
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now      timestamptz;
    v_held     numeric := (request).quantity;
    v_checks   limit_check[] := '{}';
    v_refusing limit_check;
    v_hold     reservations;
begin
    if definition.limited and (locked.revision = definition.revision) is not true then
        perform _try_limited_subject((request).subject);  -- as in _record_limited_event(); the row stays marked in any case
    end if;
    v_now := clock_timestamp();  -- the row has been locked
    if definition.limited then
        v_checks := _limit_checks(definition, locked, now(), v_now);
        perform _clear_marks(definition, locked, v_checks);
        v_refusing := _refusing_limit(v_checks, definition, locked.series_id, (request).quantity, null, now(), null);
        if v_refusing.limit_id is not null then
            v_held := case when v_refusing.remaining >= (request).minimum then v_refusing.remaining end;
        end if;
        perform _fire_marks(definition, locked, v_checks);
    end if;
    if v_held is null then
        delete from keys k where k.digest = (request).digest;
        perform _note_refusal(definition, locked, v_refusing, (request).quantity);
        return _reserved_result(v_hold, 'refused', v_now, array[v_refusing]);
    end if;
    insert into reservations (reservation_id, metric, subject, idempotency_key, quantity, minimum, held, at, expires_at, metadata)
    values ((request).reservation_id, (request).metric, (request).subject, (request).idempotency_key, (request).quantity, (request).minimum,
            v_held, now(), v_now + (request).ttl, (request).metadata)
    returning * into v_hold;
    v_checks := _used_more(v_checks, 0, v_held);
    if definition.limited then
        perform _note_holds(definition, locked, v_checks, now(), v_now);
    end if;
    return _reserved_result(v_hold, 'held', v_now, v_checks);
end
$$;

comment on function _hold(metrics, series, hold_request) is
    'Decides about a request whose key, if it has one, is already inserted, and holds what it gets. locked: as _lock_holds() returns it.';

create or replace function _note_holds(definition metrics, locked series, checks limit_check[], at timestamptz, now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if locked.is_ordinary and locked.revision = definition.revision and _note_holds.at >= locked.fine_start and _note_holds.at < locked.fine_end then
        perform _note_room(locked, checks, _note_holds.now);
    else
        update series s set unchecked_below = '-infinity', version = s.version + 1 where s.series_id = locked.series_id and s.stripe = 0;
    end if;
end
$$;

comment on function _note_holds(metrics, series, limit_check[], timestamptz, timestamptz) is
    'Updates the locked row of a series, if there is one, after what is held has changed. checks: the limits at an instant, with the change.';

create or replace function _reserved_result(hold reservations, outcome text, now timestamptz, checks limit_check[])
returns reserved
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_binding limit_check := _binding_limit(checks);
begin
    return ((hold).reservation_id, outcome, trim_scale(case when _is_holding(hold, _reserved_result.now) then (hold).held else 0 end),
            trim_scale(v_binding.used), trim_scale(v_binding.held), trim_scale(v_binding.remaining), v_binding.quota, v_binding.name,
            (hold).expires_at)::reserved;
end
$$;

comment on function _reserved_result(reservations, text, timestamptz, limit_check[]) is
    'The result of reserve() and of the functions that change a reservation. checks: the limits of its period.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_holding(hold reservations, now timestamptz)
returns boolean
language sql
immutable parallel safe
as $$
    select coalesce(hold.state = 'held' and hold.expires_at > now, false)
$$;

comment on function _is_holding(reservations, timestamptz) is 'Whether a reservation holds something at an instant.';
