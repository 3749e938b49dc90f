-- Three plain statements record an ordinary event: insert the key, add to the open buckets of the series, insert the event. They are as plain
-- as statements can be, because most of what a call costs is setting up its expressions. A series exists only for a valid subject and a known
-- metric, and its open buckets only for valid times, so nothing is looked up before. What is not ordinary is recorded by _record_event(): with
-- the key, if that has been inserted already.
--
-- Lock order for the whole package: keys, reservations, limited_subjects, rows of series of limited metrics, new rows of series, the other rows
-- of series, unique members, rollups; within each table by primary key, rows of series by series_id and stripe. Events are only inserted, and wait
-- for no lock. A statement that writes several rows of a table sorts them first, so two calls cannot deadlock.
create or replace function record(
    subject text,
    metric text,
    quantity numeric default null,
    member text default null,
    idempotency_key text default null,
    at timestamptz default now(),
    metadata jsonb default null,
    total boolean default true,
    overflow boolean default false,
    strict boolean default false
)
returns recorded
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off  -- tables may be small when a plan is made, and large when it is used
as $$
#variable_conflict use_column
declare
    v_digest   uuid;
    v_event_id bigint;
    v_series   integer;
    v_billers  text[];
    v_after    timestamptz;
    v_quantity numeric := coalesce(record.quantity, 1);
    v_recorded recorded;
begin
    if record.member is null and record.subject is not null and record.metric is not null
        and (record.quantity is null or record.quantity >= 0 and record.quantity < 1e50 and scale(record.quantity) <= 50)
        and (record.metadata is null or jsonb_typeof(record.metadata) = 'object' and octet_length(record.metadata::text) <= 65536)
        and (record.idempotency_key is null
             or record.idempotency_key >= '!' collate "C" and octet_length(record.idempotency_key) <= 512)
        and record.at <= now() and record.at >= timestamptz '1970-01-01 00:00:00+00' and record.total
        and current_setting('transaction_isolation') = 'read committed' and not _is_open('record')
    then
        -- KEY: the call that inserts it owns the event. Another session with the same key waits here until that transaction ends.
        if record.idempotency_key is null then
            v_event_id := nextval('event_ids');
        else
            v_digest := _key_digest(record.metric, record.subject, record.idempotency_key);
            insert into keys (event_id, at, digest, quantity)
            values (nextval('event_ids'), record.at, v_digest, v_quantity)
            on conflict (digest) do nothing
            returning event_id into v_event_id;
        end if;
        -- OPEN BUCKETS. Without a quantity a count counts 1; of other metrics, such an event is refused.
        if v_event_id is not null then
            update series s set
                fine_last_at = greatest(s.fine_last_at, record.at), coarse_last_at = greatest(s.coarse_last_at, record.at),
                version = s.version + 1, fine_count = s.fine_count + 1, coarse_count = s.coarse_count + 1,
                fine_total = s.fine_total + v_quantity, coarse_total = s.coarse_total + v_quantity
            where s.metric = record.metric and s.subject = record.subject and s.stripe = 0
              and s.is_ordinary and (s.is_count or record.quantity is not null)
              and s.coarse_total + v_quantity < s.unchecked_below and clock_timestamp() < s.unchecked_until
              and record.at >= s.fine_start and record.at < s.fine_end
              and s.revision = (select m.revision from metrics m where m.key = record.metric)
              and not exists (select from old_keys o where o.digest = v_digest)
            returning s.series_id, s.billers, trim_scale(s.coarse_total), s.unit, s.coarse_start, nullif(s.coarse_end, 'infinity'),
                trim_scale(s.exhausted_at - s.coarse_total), s.limited_by, s.recorded_after
            into v_series, v_billers, v_recorded.quantity, v_recorded.unit, v_recorded.period_start, v_recorded.period_end,
                v_recorded.remaining, v_recorded.limited_by, v_after;
        end if;
    end if;
    if v_series is null then
        return _strict_result(record.strict, record.metric, _record_event(
            record.subject, record.metric, record.quantity, record.member, record.idempotency_key, record.at, record.metadata, record.total,
            record.overflow, v_event_id, v_digest));
    end if;

    -- EVENT
    insert into events (event_id, at, recorded_at, series_id, quantity, idempotency_key, metadata)
    values (v_event_id, record.at, greatest(clock_timestamp(), v_after), v_series, v_quantity, record.idempotency_key, record.metadata);
    if v_billers is not null then
        insert into unreported (at, event_id, series_id, biller) select record.at, v_event_id, v_series, unnest(v_billers);
    end if;
    v_recorded.event_id := v_event_id;
    v_recorded.outcome := 'recorded';
    return v_recorded;
end
$$;

comment on function record(text, text, numeric, text, text, timestamptz, jsonb, boolean, boolean, boolean) is
    'Records one event in the caller''s transaction. An event counts once per (subject, metric, idempotency_key); without a key every call '
    'counts. Returns the event''s id, the outcome, and the new quantity of the period that the event counts in. outcome: recorded, or '
    'duplicate for a repeated key, or conflict if the repeated key came with another quantity or member, or refused if the event would go '
    'beyond a limit that blocks (set_limit()); all but recorded change nothing, and a refused event leaves no key: it may be tried again. '
    'remaining and limited_by: what the limit that binds leaves, and its name. Call it in FROM: SELECT * FROM record(...). PostgreSQL '
    'runs SELECT (record(...)).* once for every column, and an event without a key then counts eight times. quantity: in the metric''s unit; a count '
    'metric counts 1 without one. member: what a unique metric counts, instead of a quantity. at: when the usage happened; null means now(). '
    'metadata: a JSON object, for usage_by(). total false: the result has no quantity, which saves a striped metric a look at all of its stripes. '
    'overflow true: the usage has happened, so no limit refuses it. strict true: refused raises UM003, duplicate and conflict UM005. '
    'Raises 22004 or 22023 for a bad value, UM001 for an unknown metric, UM002 if the metric''s definition forbids the event, 40001 '
    'if a REPEATABLE READ or SERIALIZABLE transaction must be retried, UM008 for a subject that is on another shard or being moved. '
    'Example: BEGIN; SELECT outcome, quantity, unit, period_start, period_end FROM meter.record(''acct_1'', ''tokens'', 50, '
    'idempotency_key => ''req_1'', at => ''2026-06-18T14:30:00Z''); ROLLBACK;';
