-- What a repeat of a key is compared by. A metric takes a quantity or a member, never both, so one text stands for either.
create or replace function _payload_digest(quantity numeric, member text)
returns bytea
language sql
stable parallel safe
as $$
    select substr(sha256(convert_to(coalesce(member, trim_scale(quantity)::text), 'UTF8')), 1, 8)
$$;

comment on function _payload_digest(numeric, text) is
    'The first 64 bits of the SHA-256 of an event''s payload: its quantity (1 and 1.0 are one) or its member.';

create or replace function _repeated(metric metrics, subject text, key_digest bytea, payload_digest bytea)
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
    where k.subject = _repeated.subject and k.metric = (_repeated.metric).key and k.key_digest = _repeated.key_digest;
    if v_first.event_id is null then
        raise exception using
            errcode = '40001', message = 'the idempotency key was deleted while it was being looked up',
            hint = 'Try the transaction again.';
    end if;

    v_start := _bucket_start((_repeated.metric).period, v_first.at);
    v_end := _bucket_end((_repeated.metric).period, v_start);
    v_recorded.event_id := v_first.event_id;
    v_recorded.outcome := case when v_first.payload_digest = _repeated.payload_digest then 'duplicate' else 'conflict' end;
    v_recorded.quantity := (_window_usage(_repeated.metric, _repeated.subject, v_start, v_end)).quantity;
    v_recorded.unit := (_repeated.metric).unit;
    v_recorded.period_start := v_start;
    v_recorded.period_end := nullif(v_end, 'infinity');
    return v_recorded;
end
$$;

comment on function _repeated(metrics, text, bytea, bytea) is
    'What record() answers for a key that was used before: the first event, and the aggregate of the period that it counts in.';
