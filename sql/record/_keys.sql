-- A repeated key is compared by this digest. An event has a quantity or a member, never both, so one text represents either.
create or replace function _payload_digest(quantity numeric, member text)
returns bytea
language sql
stable parallel safe
as $$
    select substr(sha256(convert_to(coalesce(member, trim_scale(quantity)::text), 'UTF8')), 1, 8)
$$;

comment on function _payload_digest(numeric, text) is
    'The first 64 bits of the SHA-256 of an event''s payload: its quantity (1 and 1.0 are equal) or its member.';

create or replace function _replay_result(metric metrics, subject text, key_digest bytea, payload_digest bytea)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_first    idempotency_keys;
    v_start    timestamptz;
    v_end      timestamptz;
    v_recorded recorded;
begin
    select k.* into v_first
    from idempotency_keys k
    where k.subject = _replay_result.subject and k.metric = (_replay_result.metric).key and k.key_digest = _replay_result.key_digest;
    if v_first.event_id is null then
        raise exception using
            errcode = '40001', message = 'the idempotency key was deleted while it was being looked up',
            hint = 'Retry the transaction.';
    end if;

    v_start := _bucket_start((_replay_result.metric).period, v_first.at);
    v_end := _bucket_end((_replay_result.metric).period, v_start);
    v_recorded.event_id := v_first.event_id;
    v_recorded.outcome := case when v_first.payload_digest = _replay_result.payload_digest then 'duplicate' else 'conflict' end;
    v_recorded.quantity := (_window_usage(_replay_result.metric, _replay_result.subject, v_start, v_end)).quantity;
    v_recorded.unit := (_replay_result.metric).unit;
    v_recorded.period_start := v_start;
    v_recorded.period_end := nullif(v_end, 'infinity');
    return v_recorded;
end
$$;

comment on function _replay_result(metrics, text, bytea, bytea) is
    'The result of record() for a repeated key: the id of the first event, duplicate or conflict, and the quantity of its period.';
