-- Lengths before the texts, so that no subject, metric or key can be written to look like another three.
-- Inlined: no SET, nothing outside pg_catalog. Stable like convert_to(), or it would not be inlined.
create or replace function _key_digest(metric text, subject text, idempotency_key text)
returns uuid
language sql
stable parallel safe
as $$
    select encode(substr(sha256(convert_to(
        length(metric) || ',' || length(subject) || ',' || metric || subject || idempotency_key, 'UTF8')), 1, 16), 'hex')::uuid
$$;

comment on function _key_digest(text, text, text) is
    'What an idempotency key of a subject and metric is known by: the first 128 bits of a SHA-256 over all three.';

-- One statement has one snapshot, so it finds a key that maintain() moves meanwhile in one of the two tables.
create or replace function _find_key(digest uuid)
returns keys
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_key keys;
begin
    select * into v_key
    from (select * from keys where digest = _find_key.digest union all select * from old_keys where digest = _find_key.digest) k
    limit 1;
    if v_key.event_id is null then
        raise exception using
            errcode = '40001', message = 'the idempotency key was deleted while it was being looked up',
            hint = 'Retry the transaction.';
    end if;
    return v_key;
end
$$;

comment on function _find_key(uuid) is 'The key of that digest, recent or old. Raises 40001 if there is none (any more).';

create or replace function _replay_result(metric metrics, subject text, digest uuid, quantity numeric, member text, total boolean)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _refuse_moved(array[_replay_result.subject]);
    return _repeated_result(_replay_result.metric, _replay_result.subject, _find_key(_replay_result.digest), _replay_result.quantity,
                            _replay_result.member, _replay_result.total);
end
$$;

comment on function _replay_result(metrics, text, uuid, numeric, text, boolean) is
    'The result of record() for a repeated key: the id of the first event, duplicate or conflict, and the quantity of its period, unless '
    'total is false; and what its limits leave.';

create or replace function _repeated_result(metric metrics, subject text, first keys, quantity numeric, member text, total boolean)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_first    keys := _repeated_result.first;
    v_start    timestamptz := _bucket_start((_repeated_result.metric).period, v_first.at);
    v_end      timestamptz := _bucket_end((_repeated_result.metric).period, v_start);
    v_recorded recorded;
begin
    v_recorded.event_id := v_first.event_id;
    v_recorded.outcome := case
        when _is_same_payload(v_first.quantity, v_first.member, _repeated_result.quantity, _repeated_result.member)
            or _is_amended_payload(v_first.digest, _repeated_result.quantity, _repeated_result.member) then 'duplicate'
        else 'conflict' end;
    if _repeated_result.total is not false then
        v_recorded.quantity := (_window_usage(_repeated_result.metric, _repeated_result.subject, v_start, v_end)).quantity;
    end if;
    v_recorded.unit := (_repeated_result.metric).unit;
    v_recorded.period_start := v_start;
    v_recorded.period_end := nullif(v_end, 'infinity');
    if (_repeated_result.metric).limited then
        v_recorded := _with_remaining(v_recorded, _binding_limit(_limit_checks(
            _repeated_result.metric, _find_series_row(_repeated_result.metric, _repeated_result.subject), v_first.at, clock_timestamp())));
    end if;
    return v_recorded;
end
$$;

comment on function _repeated_result(metrics, text, keys, numeric, text, boolean) is
    'The result of record() for a repeat of an event; first: its id, time, quantity and member, and the digest of its key, if it '
    'has one.';

-- No member is empty: where the member of the first event was erased, the key has an empty text instead. (Null, without a quantity, is the key of a
-- reservation.) Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_same_payload(first_quantity numeric, first_member text, quantity numeric, member text)
returns boolean
language sql
immutable parallel safe
as $$
    select first_quantity is not distinct from quantity and first_member is not distinct from member or first_member is not distinct from ''
$$;

comment on function _is_same_payload(numeric, text, numeric, text) is
    'Whether a repeat has the payload of the first event: its quantity (1 and 1.0 are equal) and its member, unless that was erased.';

create or replace function _is_amended_payload(digest uuid, quantity numeric, member text)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return exists (
        select from amended_keys a
        where a.digest = _is_amended_payload.digest
          and _is_same_payload(a.quantity, a.member, _is_amended_payload.quantity, _is_amended_payload.member));
end
$$;

comment on function _is_amended_payload(uuid, numeric, text) is
    'Whether a repeat of a key has the payload of an event by which amend_event() has replaced the first one. False for a null digest.';

-- Before it moves keys to old_keys, maintain() replaces the table keys_moved. to_regclass() finds the new table, pg_class is read with the
-- snapshot: if the snapshot does not have it, it may see a key in neither table. The lock makes the session notice the new table; while it is
-- held, until the transaction ends, keys_moved is not replaced.
create or replace function _check_keys()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    lock table keys_moved in access share mode;
    if not exists (select from pg_class where oid = to_regclass('keys_moved')) then
        raise exception using
            errcode = '40001', message = 'idempotency keys were moved since the snapshot was taken',
            hint = 'Retry the transaction.';
    end if;
end
$$;

comment on function _check_keys() is 'Raises 40001 if maintain() has moved keys to old_keys after the snapshot was taken.';
