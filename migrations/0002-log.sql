-- depends: 0001-catalog
-- The append-only log, and beside it the keys that make recording idempotent.

-- CACHE 1 on purpose: among events recorded one after the other, the later one has the higher id, in whatever session.
-- That is what "the later-recorded of two `last` events with one time" is decided by.
create sequence event_ids as bigint cache 1;
comment on sequence event_ids is 'Numbers events in the order in which they were recorded. Gaps mean nothing.';

create table events (
    event_id        bigint      not null default nextval('event_ids'),
    at              timestamptz not null,
    recorded_at     timestamptz not null default now(),
    subject         text        not null,
    metric          text        not null,
    quantity        numeric,
    member          text,
    idempotency_key text,
    metadata        jsonb,

    -- It serves every read of the log: a window's edges, "why was I charged this?" and its paging, rebuild by subject.
    constraint events_pkey primary key (subject, metric, at, event_id),
    constraint quantity_or_member check ((quantity is null) <> (member is null))
) partition by range (at);

comment on table events is
    'The append-only log: one row per recorded event, partitioned by month (UTC) of its time. The truth that rollups are derived from.';
comment on column events.event_id is 'Unique; ascending in the order of recording.';
comment on column events.at is 'When the usage happened: decides the period it is counted in.';
comment on column events.recorded_at is 'When the transaction that recorded it began.';
comment on column events.subject is 'Who consumed: an opaque text.';
comment on column events.metric is 'What was consumed: a key of metrics.';
comment on column events.quantity is 'How much, in the metric''s unit; null for unique metrics.';
comment on column events.member is 'The identifier that a unique metric counts; null for all other metrics.';
comment on column events.idempotency_key is 'The caller''s own key, for audits; null if none was given.';
comment on column events.metadata is 'The caller''s own facts, a JSON object; usage_by() groups by them.';

create table events_default partition of events default;
comment on table events_default is
    'Takes events of months that have no partition yet, so that none is ever refused; maintain() moves them on.';

create table log_months (
    month   timestamptz not null,
    dropped boolean     not null default false,

    constraint log_months_pkey primary key (month)
);

comment on table log_months is
    'The months that were given a partition of their own. One that has lost it since no longer explains its rollups: verify() and '
    'rebuild() leave those alone.';
comment on column log_months.month is 'The first instant of the month (UTC).';
comment on column log_months.dropped is
    'Whether the month had lost its partition when it was given another one, for events that came late.';

create table idempotency_keys (
    event_id       bigint      not null,
    at             timestamptz not null,
    subject        text        not null,
    metric         text        not null,
    key_digest     bytea       not null,
    payload_digest bytea       not null,

    constraint idempotency_keys_pkey primary key (subject, metric, key_digest)
);

comment on table idempotency_keys is
    'Every idempotency key ever used, so that a repeat is recognised for ever. It outlives the events: a unique index on the '
    'partitioned log would have to contain the time, and a retry may have another time.';
comment on column idempotency_keys.event_id is 'The event that the key stands for.';
comment on column idempotency_keys.at is 'That event''s time.';
comment on column idempotency_keys.subject is 'That event''s subject.';
comment on column idempotency_keys.metric is 'That event''s metric.';
comment on column idempotency_keys.key_digest is 'The first 128 bits of the key''s SHA-256.';
comment on column idempotency_keys.payload_digest is
    'The first 64 bits of the SHA-256 of the event''s quantity or member: tells a repeat from a reused key.';

-- The guard against UPDATE, DELETE and TRUNCATE. Its body is installed with the other functions; until then it fails closed.
create function _guard_log() returns trigger language plpgsql as $$
begin
    raise exception using errcode = '55000', message = 'the functions are not installed', hint = 'Run: pymeter migrate';
end
$$;
comment on function _guard_log() is 'Trigger: refuses to change or delete logged events.';

create trigger events_are_append_only before update or delete on events
    for each row execute function _guard_log();
create trigger events_are_not_truncated before truncate on events
    for each statement execute function _guard_log();
create trigger events_are_not_truncated before truncate on events_default
    for each statement execute function _guard_log();
