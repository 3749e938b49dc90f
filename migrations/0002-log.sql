-- depends: 0001-catalog
-- The append-only log, and beside it the keys that make recording idempotent.

-- CACHE 1 on purpose: among events recorded one after the other, the later one has the higher id, in whatever session.
-- That is what "the later-recorded of two `last` events with one time" is decided by.
create sequence event_ids as bigint cache 1;
comment on sequence event_ids is 'Numbers events in the order in which they were recorded. Gaps mean nothing.';

-- Eight columns: the bitmap of nulls then fits into the header of a row; a ninth column would make every row with a null 8 bytes longer.
-- No CHECK: it would be parsed anew in each transaction, 4 % of a record(). Only the functions write here, and they check.
create table events (
    event_id        bigint      not null,
    at              timestamptz not null,
    recorded_at     timestamptz not null,
    series_id       integer     not null,
    quantity        numeric,
    member          text        collate "C",
    idempotency_key text        collate "C",
    metadata        jsonb
) partition by range (at);

-- It serves every read of the log: a window's edges, "why was I charged this?" and its paging, rebuild by subject. No primary key: ids are
-- unique by their sequence, and a third column would cost 8 bytes an event. Pages are filled: the events of a series come nearly in this order.
create index events_series on events (series_id, at) with (fillfactor = 100);

-- For exports and for finding what was recorded since: the log is written nearly in this order, so a summary of ranges is enough.
create index events_recorded on events using brin (recorded_at, event_id);

comment on table events is
    'The append-only log: one row per recorded event, partitioned by month (UTC) of its time. The truth that rollups are derived from.';
comment on column events.event_id is 'Unique; ascending in the order of recording.';
comment on column events.at is 'When the usage happened: decides the period it is counted in.';
comment on column events.recorded_at is 'When it was written: the clock, read after the row of its series was locked.';
comment on column events.series_id is 'Who consumed what: a series.';
comment on column events.quantity is 'How much, in the metric''s unit; null for unique metrics.';
comment on column events.member is 'The identifier that a unique metric counts; null for all other metrics.';
comment on column events.idempotency_key is 'The caller''s own key, for audits; null if none was given.';
comment on column events.metadata is 'The caller''s own facts, a JSON object; usage_by() groups by them.';

create table events_default partition of events default;
-- Rows are never changed, but maintain() moves them to their month, which a subscriber of a publication has to follow.
alter table events replica identity full;
alter table events_default replica identity full;
comment on table events_default is
    'Takes events of months that have no partition yet, so that none is ever refused; maintain() moves them on.';

create table log_months (
    month       timestamptz not null,
    dropped     boolean     not null default false,
    partitions  bigint      not null default 1,
    totals_kept bigint      not null default 0,

    constraint log_months_pkey primary key (month)
);

comment on table log_months is
    'The months that were given a partition of their own. Windows that would need the events of a dropped one are refused. verify() and '
    'rebuild() use the totals that were kept of it, or leave its buckets alone where there are none.';
comment on column log_months.month is 'The first instant of the month (UTC).';
comment on column log_months.dropped is
    'Whether the month has lost a partition: maintain() dropped or detached it, or it was gone when events that came late needed '
    'another one. It stays true: what such a partition holds is not all there was.';
comment on column log_months.partitions is 'How many partitions the month was given, one after the other.';
comment on column log_months.totals_kept is
    'How many of them maintain() has dropped or detached and kept the totals of. If one was lost otherwise, the month is not verifiable.';

create table keys (
    event_id bigint      not null,
    at       timestamptz not null,
    digest   uuid        not null,
    quantity numeric,
    member   text        collate "C",

    constraint keys_pkey primary key (digest)
);

comment on table keys is
    'Every idempotency key of late, so that a repeat is recognised; the older ones are in old_keys. They outlive the events: a unique index '
    'on the partitioned log would have to contain the time, and a retry may have another time.';
comment on column keys.event_id is 'The event that the key stands for.';
comment on column keys.at is 'That event''s time.';
comment on column keys.digest is 'The first 128 bits of a SHA-256 over metric, subject and key, as _key_digest() returns them.';
comment on column keys.quantity is 'That event''s quantity: a repeat with another one is a conflict.';
comment on column keys.member is 'That event''s member.';

-- Written by maintain() in the order of the digest, and only read by recording: its index stays dense, and out of the way of new keys.
create table old_keys (
    event_id bigint      not null,
    at       timestamptz not null,
    digest   uuid        not null,
    quantity numeric,
    member   text        collate "C",

    constraint old_keys_pkey primary key (digest)
);

comment on table old_keys is 'The older idempotency keys, kept for ever. maintain() moves them here from keys.';
comment on column old_keys.event_id is 'As in keys.';
comment on column old_keys.at is 'As in keys.';
comment on column old_keys.digest is 'As in keys.';
comment on column old_keys.quantity is 'As in keys.';
comment on column old_keys.member is 'As in keys.';

create table key_marks (
    event_id bigint      not null,
    noted_at timestamptz not null,

    constraint key_marks_pkey primary key (event_id)
);

comment on table key_marks is
    'How far event ids had come each time maintain() ran, of the last days: keys up to a mark that is two days old may be moved to old_keys.';
comment on column key_marks.event_id is 'The last event id that had been drawn.';
comment on column key_marks.noted_at is 'When.';

create table keys_moved ();
comment on table keys_moved is
    'Never has a row. maintain() replaces it when it moves keys, so that transactions with an older snapshot can tell.';

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
-- ALWAYS: session_replication_role = replica switches ordinary triggers off. Later partitions get the state of the log's own.
alter table events enable always trigger events_are_append_only;
alter table events enable always trigger events_are_not_truncated;
alter table events_default enable always trigger events_are_append_only;
alter table events_default enable always trigger events_are_not_truncated;
