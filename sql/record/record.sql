-- Lock order for the whole package: idempotency keys, then unique members, then rollups; within each table by primary key, which begins
-- with (subject, metric). Events are only inserted, and wait for no lock. A statement that writes several rows of a table sorts them
-- first, so two calls cannot deadlock.
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
    v_quantity numeric;
    v_event_id bigint;
    v_recorded recorded;
begin
    -- GUARD
    select * into v_metric from metrics where key = record.metric;
    v_quantity := coalesce(trim_scale(record.quantity), case v_metric.aggregate when 'count' then 1 end);
    if (_is_plain_event(v_metric.aggregate, v_metric.retired_at, record.subject, record.metric, v_quantity, record.member,
                        record.idempotency_key, record.at, record.metadata)
        and current_setting('transaction_isolation') = 'read committed' and not _is_open('record')) is not true then
        if _is_open('record') then perform _check_caller('record'); end if;
        at := coalesce(record.at, now());
        perform _check_event(v_metric, record.metric, record.subject, v_quantity, record.member,
                             record.idempotency_key, record.at, record.metadata);
    end if;

    -- KEY: the call that inserts it owns the event. Another session with the same key waits here until that transaction ends.
    if record.idempotency_key is null then
        v_event_id := nextval('event_ids');
    else
        insert into idempotency_keys (event_id, at, subject, metric, key_digest, payload_digest)
        values (nextval('event_ids'), record.at, record.subject, record.metric,
                _digest(record.idempotency_key), _payload_digest(v_quantity, record.member))
        on conflict (subject, metric, key_digest) do nothing
        returning event_id into v_event_id;
        if v_event_id is null then
            return _replay_result(v_metric, record.subject, _digest(record.idempotency_key),
                             _payload_digest(v_quantity, record.member));
        end if;
    end if;

    -- EVENT
    insert into events (event_id, at, subject, metric, quantity, member, idempotency_key, metadata)
    values (v_event_id, record.at, record.subject, record.metric,
            v_quantity, record.member, record.idempotency_key, record.metadata);
    if v_metric.billers is not null then
        insert into unreported (at, event_id, subject, metric, biller)
        select record.at, v_event_id, record.subject, record.metric, unnest(v_metric.billers);
    end if;

    -- ROLLUPS: for most metrics two totals. least() and greatest() put the two kinds of bucket in primary-key order.
    if v_metric.may_have_stripes or v_metric.aggregate not in ('sum', 'count', 'avg') then
        return _roll_up_event(v_metric, record.subject, v_event_id, record.at, v_quantity, record.member);
    end if;
    with merged as (
        insert into rollups as r (subject, metric, bucket, bucket_start, event_count, last_at, total)
        select record.subject, record.metric, b.bucket, _bucket_start(b.bucket, record.at), 1, record.at, v_quantity
        from (values (least(v_metric.period, v_metric.rollup)),
                     (nullif(greatest(v_metric.period, v_metric.rollup), least(v_metric.period, v_metric.rollup)))) as b (bucket)
        where b.bucket <> 'none'
        on conflict (subject, metric, bucket, bucket_start, stripe) do update set
            event_count = r.event_count + excluded.event_count,
            last_at = greatest(r.last_at, excluded.last_at),
            total = r.total + excluded.total
        returning bucket, bucket_start, event_count, total
    )
    select v_event_id, 'recorded', _quantity(v_metric.aggregate, m.event_count, m.total, null, null, null), v_metric.unit,
           m.bucket_start, nullif(_bucket_end(m.bucket, m.bucket_start), 'infinity')
    into v_recorded
    from merged m
    where m.bucket = v_metric.period;
    return v_recorded;
end
$$;

comment on function record(text, text, numeric, text, text, timestamptz, jsonb) is
    'Records one event in the caller''s transaction. An event counts once per (subject, metric, idempotency_key); without a key every call '
    'counts. Returns the event''s id, the outcome, and the new quantity of the period that the event counts in. outcome: recorded, or '
    'duplicate for a repeated key, or conflict if the repeated key came with another quantity or member; duplicate and conflict change '
    'nothing. Call it in FROM: SELECT * FROM record(...). PostgreSQL runs SELECT (record(...)).* once for every column, and an event '
    'without a key then counts six times. quantity: in the metric''s unit; a count metric counts 1 without one. member: what a unique '
    'metric counts, instead of a quantity. at: when the usage happened; null means now(). metadata: a JSON object, for usage_by(). Raises '
    '22004 or 22023 for a bad value, UM001 for an unknown metric, UM002 if the metric''s definition forbids the event, 40001 if a '
    'REPEATABLE READ or SERIALIZABLE transaction must be retried. Example: BEGIN; SELECT outcome, quantity, unit, period_start, period_end '
    'FROM meter.record(''acct_1'', ''tokens'', 50, idempotency_key => ''req_1'', at => ''2026-06-18T14:30:00Z''); ROLLBACK;';
