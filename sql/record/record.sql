-- Lock order, one rule for the whole package: idempotency keys, then unique members, then rollups; rows of each in the order of
-- their primary key, which begins with (subject, metric). Events are only ever inserted and wait for nobody. Whoever writes more
-- than one row of a table sorts first, so two callers can wait for each other only one way round.
create or replace function record(
    subject text,
    metric text,
    quantity numeric default null,
    member text default null,
    idempotency_key text default null,
    at timestamptz default now(),
    metadata jsonb default null
)
returns recorded
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric   metrics;
    v_problem  problem;
    v_at       timestamptz := coalesce(record.at, now());
    v_quantity numeric := trim_scale(record.quantity);
    v_event_id bigint;
begin
    -- GUARD
    select * into v_metric from metrics where key = record.metric;
    v_problem.code := _event_problem(
        v_metric.aggregate, v_metric.retired_at, v_metric.max_future,
        record.subject, record.metric, v_quantity, record.member, record.idempotency_key, v_at, record.metadata);
    if v_problem.code is not null then
        select * into v_problem from _problems() where code = v_problem.code;
        raise exception using
            errcode = v_problem.sqlstate, message = v_problem.message, hint = v_problem.hint, column = v_problem.parameter,
            detail = _event_detail(record.subject, record.metric, record.quantity, record.member, v_at);
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _pin_metrics(array[record.metric]);
    end if;
    if v_metric.aggregate = 'count' then
        v_quantity := coalesce(v_quantity, 1);
    end if;

    -- KEY: whoever inserts it first owns the event. Another session with the same key waits here for the first to end.
    v_event_id := nextval('event_ids');
    if record.idempotency_key is not null then
        insert into idempotency_keys (event_id, at, subject, metric, key_digest, payload_digest)
        values (v_event_id, v_at, record.subject, record.metric,
                _digest(record.idempotency_key), _payload_digest(v_quantity, record.member))
        on conflict (subject, metric, key_digest) do nothing
        returning event_id into v_event_id;
        if v_event_id is null then
            return _repeated(v_metric, record.subject, _digest(record.idempotency_key),
                             _payload_digest(v_quantity, record.member));
        end if;
    end if;

    -- EVENT
    insert into events (event_id, at, subject, metric, quantity, member, idempotency_key, metadata)
    values (v_event_id, v_at, record.subject, record.metric,
            v_quantity, record.member, record.idempotency_key, record.metadata);
    if v_metric.billers is not null then
        insert into unreported (at, event_id, subject, metric, biller)
        select v_at, v_event_id, record.subject, record.metric, unnest(v_metric.billers);
    end if;

    return _roll_up_event(v_metric, record.subject, v_event_id, v_at, v_quantity, record.member);
end
$$;

comment on function record(text, text, numeric, text, text, timestamptz, jsonb) is
    'Records one event, once per (subject, metric, idempotency_key), in the caller''s transaction; null `at` means now(). '
    'Raises 22004 or 22023 for a bad value, UM001 for an unknown metric, UM002 for what its definition forbids, '
    '40001 when a REPEATABLE READ or SERIALIZABLE transaction must be tried again.';
