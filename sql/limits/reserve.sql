-- As in record(), three plain statements make an ordinary reservation: insert the key, take the quantity off what needs no look at the limits,
-- insert the reservation. settle() does not give it back there, because marks are about what is used: the next look at the limits does.
create or replace function reserve(
    subject text,
    metric text,
    quantity numeric,
    idempotency_key text default null,
    minimum numeric default null,
    ttl interval default null,
    metadata jsonb default null
)
returns reserved
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_digest   uuid;
    v_id       bigint;
    v_quantity numeric := trim_scale(reserve.quantity);
    v_reserved reserved;
    v_request  hold_request;
    v_locked   record;
begin
    if reserve.subject is not null and reserve.metric is not null and reserve.minimum is null
        and v_quantity >= 0 and v_quantity < 1e50 and scale(v_quantity) <= 50
        and (reserve.metadata is null or jsonb_typeof(reserve.metadata) = 'object' and octet_length(reserve.metadata::text) <= 65536)
        and (reserve.idempotency_key is null
             or reserve.idempotency_key >= '!' collate "C" and octet_length(reserve.idempotency_key) <= 512)
        and reserve.ttl > interval '0' is not false
        and current_setting('transaction_isolation') = 'read committed' and not _is_open('reserve')
    then
        v_digest := _key_digest(reserve.metric, reserve.subject, reserve.idempotency_key);
        if v_digest is null then
            v_id := nextval('event_ids');
        else
            insert into keys (event_id, at, digest) values (nextval('event_ids'), now(), v_digest)
            on conflict (digest) do nothing
            returning event_id into v_id;
        end if;
        if v_id is not null then
            update series s set
                unchecked_below = s.unchecked_below - v_quantity, exhausted_at = s.exhausted_at - v_quantity,
                limit_held = s.limit_held + v_quantity, version = s.version + 1,
                unchecked_until = least(s.unchecked_until, clock_timestamp() + coalesce(reserve.ttl, interval '10 minutes'))
            where s.metric = reserve.metric and s.subject = reserve.subject and s.stripe = 0 and s.is_ordinary
              and (s.limited_by is null or s.limit_held is not null)
              and s.coarse_total + v_quantity < s.unchecked_below and clock_timestamp() < s.unchecked_until
              and now() >= s.fine_start and now() < s.fine_end
              and s.revision = (select m.revision from metrics m where m.key = reserve.metric)
              and not exists (select from old_keys o where o.digest = v_digest)
              -- The defaults of these settings.
              and (reserve.ttl <= interval '1 day' is not false)
              and not exists (select from settings o where o.name in ('reservation_ttl', 'reservation_ttl_max'))
            returning 'held', v_quantity, trim_scale(s.coarse_total + s.limit_used), trim_scale(s.limit_held),
                trim_scale(s.exhausted_at - s.coarse_total), s.limit_quota, s.limited_by
            into v_reserved.outcome, v_reserved.held, v_reserved.used, v_reserved.held_total, v_reserved.remaining, v_reserved.quota,
                v_reserved.limited_by;
        end if;
    end if;
    if v_reserved.outcome is null then
        if _is_open('reserve') then perform _check_caller('reserve'); end if;
        v_request := _prepare_hold(null, reserve.subject, reserve.metric, reserve.quantity, reserve.idempotency_key, reserve.minimum, reserve.ttl,
                                   reserve.metadata, v_id);
        perform _check_home(reserve.subject);
        if not _own_hold_key(v_request, v_id is not null) then
            return _repeated_hold(v_request);
        end if;
        select * into v_locked from _lock_holds(reserve.metric, reserve.subject);
        return _hold(v_locked.definition, v_locked.locked, v_request);
    end if;
    insert into reservations (reservation_id, metric, subject, idempotency_key, quantity, held, at, expires_at, metadata)
    values (v_id, reserve.metric, reserve.subject, reserve.idempotency_key, v_quantity, v_quantity, now(),
            clock_timestamp() + coalesce(reserve.ttl, interval '10 minutes'), reserve.metadata)
    returning reservation_id, expires_at into v_reserved.reservation_id, v_reserved.expires_at;
    return v_reserved;
end
$$;

comment on function reserve(text, text, numeric, text, numeric, interval, jsonb) is
    'Keeps a quantity of a metric free for a subject, for usage whose size is known afterwards. A reservation counts like usage against the limits '
    'of the period in which it is made, until it is settled (settle()), released (release()) or expires. Returns its id and the outcome: held, '
    'refused if a limit that blocks leaves too little (nothing is held, the key stays free), duplicate for a repeated key with the same quantity '
    'and minimum (the same reservation, which may have ended), or conflict for a key of another request or event. quantity: in the metric''s unit. '
    'idempotency_key: the event that settle() records has it; record() with it is a conflict. minimum: if not all of quantity is left, holds what '
    'is left, but at least this. ttl: how long it holds; null: the setting reservation_ttl, 10 minutes by default. metadata: a JSON object for the '
    'event. held: what it holds; used, held_total, remaining, quota and limited_by: of the limit that binds, null without a limit. Raises UM001 '
    'for an unknown metric, UM002 for one that is retired or has another aggregate than sum or count, 22004 or 22023 for a bad value, 40001 if a '
    'REPEATABLE READ or SERIALIZABLE transaction must be retried, UM008 for a subject that is on another shard or being moved. Example: BEGIN; '
    'SELECT quota FROM meter.set_limit(''tokens'', 100, subject => '
    '''acct_9''); SELECT outcome, held, remaining FROM meter.reserve(''acct_9'', ''tokens'', 80); SELECT outcome, held, remaining FROM '
    'meter.reserve(''acct_9'', ''tokens'', 80, minimum => 10); ROLLBACK;';
