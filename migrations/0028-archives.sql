-- depends: 0027-moves
-- Months of the log that were written to files, and what a file is restored from.

create sequence archive_ids as bigint cache 1;
comment on sequence archive_ids is 'Numbers archives. Gaps mean nothing.';

create table archives (
    archive_id       bigint      not null default nextval('archive_ids'),
    month            timestamptz not null,
    part             bigint      not null,
    event_count      bigint      not null,
    first_id         bigint      not null,
    last_id          bigint      not null,
    last_recorded_at timestamptz not null,
    archived_at      timestamptz not null default clock_timestamp(),
    restored_at      timestamptz,
    file_name        text        collate "C" not null,
    file_hash      text        collate "C" not null,
    digest           text        collate "C" not null,
    archived_by      text        collate "C" not null,
    restored_by      text        collate "C",

    constraint archives_pkey primary key (archive_id)
);

create unique index archives_files on archives (file_hash) where restored_at is null;
create unique index archives_parts on archives (month, part) where restored_at is null;

comment on table archives is
    'The months of the log that archive_month() has replaced by a file. Functions that need their rows raise UM006 with the file''s name.';
comment on column archives.archive_id is 'Identifies the archive.';
comment on column archives.month is 'The month (its first instant, UTC).';
comment on column archives.part is 'Which partition of the month, as in dropped_rollups.';
comment on column archives.event_count is 'How many rows of the log the file holds.';
comment on column archives.first_id is 'The lowest event_id in it.';
comment on column archives.last_id is 'The highest event_id in it.';
comment on column archives.last_recorded_at is 'When the last of its rows was recorded.';
comment on column archives.archived_at is 'When the rows were removed from the log.';
comment on column archives.restored_at is 'When they were put back; null while they are only in the file.';
comment on column archives.file_name is 'The name of the file, without its directory.';
comment on column archives.file_hash is 'SHA-256 of the file''s bytes, in hexadecimal.';
comment on column archives.digest is 'The digest of its rows, in hexadecimal: sql/archive/README.md says how it is computed.';
comment on column archives.archived_by is 'The role that archived it.';
comment on column archives.restored_by is 'The role that restored it; null before.';

-- Rows of a file that is being restored. They are gone when the transaction ends, so a crash needs no copy of them.
create unlogged table archived_rows (
    archive_id      bigint      not null,
    event_id        bigint      not null,
    at              timestamptz not null,
    recorded_at     timestamptz not null,
    corrects        bigint,
    correction_id   bigint,
    undone_by       bigint,
    series_id       integer     not null,
    counts          smallint,
    subject         text        collate "C" not null,
    metric          text        collate "C" not null,
    quantity        numeric,
    member          text        collate "C",
    idempotency_key text        collate "C",
    metadata        jsonb,
    kind            text        collate "C"
);

comment on table archived_rows is 'The rows of a file while a transaction restores it: restore_archive() removes them.';
comment on column archived_rows.archive_id is 'The archive.';
comment on column archived_rows.event_id is 'As in events.';
comment on column archived_rows.at is 'As in events.';
comment on column archived_rows.recorded_at is 'As in events.';
comment on column archived_rows.corrects is 'As in event_kinds.';
comment on column archived_rows.correction_id is 'As in event_kinds.';
comment on column archived_rows.undone_by is 'As in event_kinds.';
comment on column archived_rows.series_id is 'As in events.';
comment on column archived_rows.counts is 'As in event_kinds.';
comment on column archived_rows.subject is 'As in series.';
comment on column archived_rows.metric is 'As in series.';
comment on column archived_rows.quantity is 'As in events.';
comment on column archived_rows.member is 'As in events.';
comment on column archived_rows.idempotency_key is 'As in events.';
comment on column archived_rows.metadata is 'As in events.';
comment on column archived_rows.kind is 'As in event_kinds; null for a row that no correction wrote.';

create table archives_changed ();
comment on table archives_changed is
    'Never has a row. archive_month() replaces it, so that transactions with an older snapshot can tell that a month is gone.';

-- A member that several dropped months held has a row for each of them, so that restoring one of them leaves those of the others.
alter table dropped_members drop constraint dropped_members_pkey;
alter table dropped_members add constraint dropped_members_pkey
    primary key (series_id, bucket, bucket_start, member_digest, month, part);
comment on column dropped_members.month is 'The month of the dropped partition that held the member in this bucket.';

create type archive_row as (
    event_id bigint, at timestamptz, recorded_at timestamptz, series_id integer, subject text, metric text, quantity numeric, member text,
    idempotency_key text, metadata jsonb, kind text, corrects bigint, correction_id bigint, undone_by bigint, counts smallint);
comment on type archive_row is
    'A row of the log as a file holds it. kind to counts are those of event_kinds, and null for a row that no correction wrote.';

create type archive_digest as (event_count bigint, digest text, first_id bigint, last_id bigint, last_recorded_at timestamptz);
comment on type archive_digest is 'How many rows there are, and the digest, the range of event_id and the last time of recording of them.';
