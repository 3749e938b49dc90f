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
    v_rollup   text;
    v_new_in   text[];
    v_recorded recorded;
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

    -- MEMBERS AND ROLLUPS, one row for the period and one for the finer bucket if the metric has one
    v_rollup := nullif(nullif(v_metric.rollup, 'none'), v_metric.period);
    if v_metric.aggregate = 'unique' then
        with added as (
            insert into unique_members (subject, metric, bucket, bucket_start, member_digest)
            select record.subject, record.metric, b.bucket, _bucket_start(b.bucket, v_at), _digest(record.member)
            from (values (v_metric.period), (v_rollup)) as b (bucket)
            where b.bucket is not null
            order by b.bucket
            on conflict (subject, metric, bucket, bucket_start, member_digest) do nothing
            returning bucket
        )
        select array_agg(bucket) into v_new_in from added;
    end if;
    with merged as (
        insert into rollups as r (subject, metric, bucket, bucket_start, event_count, last_at, last_event_id,
                                  total, lowest, highest, latest)
        select record.subject, record.metric, b.bucket, _bucket_start(b.bucket, v_at), 1, v_at,
               case when v_metric.aggregate = 'last' then v_event_id end,
               case when v_metric.aggregate in ('sum', 'count', 'avg') then v_quantity
                    when v_metric.aggregate = 'unique' then (b.bucket = any (coalesce(v_new_in, '{}')))::int end,
               case when v_metric.aggregate = 'min' then v_quantity end,
               case when v_metric.aggregate = 'max' then v_quantity end,
               case when v_metric.aggregate = 'last' then v_quantity end
        from (values (v_metric.period), (v_rollup)) as b (bucket)
        where b.bucket is not null
        order by b.bucket
        on conflict (subject, metric, bucket, bucket_start, stripe) do update set
            event_count = r.event_count + excluded.event_count,
            last_at = greatest(r.last_at, excluded.last_at),
            last_event_id = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                                 then excluded.last_event_id else r.last_event_id end,
            total = r.total + excluded.total,
            lowest = least(r.lowest, excluded.lowest),
            highest = greatest(r.highest, excluded.highest),
            latest = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                          then excluded.latest else r.latest end
        returning r.*
    )
    select v_event_id, 'recorded',
           _quantity(v_metric.aggregate, m.event_count, m.total, m.lowest, m.highest, m.latest),
           v_metric.unit, m.bucket_start, nullif(_bucket_end(m.bucket, m.bucket_start), 'infinity')
    into v_recorded
    from merged m
    where m.bucket = v_metric.period;
    return v_recorded;
end
$$;

comment on function record(text, text, numeric, text, text, timestamptz, jsonb) is
    'Records one event, once per (subject, metric, idempotency_key), in the caller''s transaction; null `at` means now(). '
    'Raises 22004 or 22023 for a bad value, UM001 for an unknown metric, UM002 for what its definition forbids, '
    '40001 when a REPEATABLE READ or SERIALIZABLE transaction must be tried again.';
