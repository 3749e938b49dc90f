-- depends: 0004-members
-- What is kept of dropped months, and what maintain() finds out before it drops one.

create table dropped_rollups (
    bucket_start timestamptz not null,
    month        timestamptz not null,
    event_count  bigint      not null,
    last_at      timestamptz not null,
    part         bigint      not null,
    series_id    integer     not null,
    bucket       text        collate "C" not null,
    total        numeric,
    lowest       numeric,
    highest      numeric,
    latest       numeric[],

    constraint dropped_rollups_pkey primary key (series_id, bucket, bucket_start, month, part)
);

comment on table dropped_rollups is
    'What the dropped partitions of the log held, as totals: verify() and rebuild() add them to what the log still has. Written by maintain().';
comment on column dropped_rollups.bucket_start is 'The first instant of the bucket, as in rollups.';
comment on column dropped_rollups.month is 'The month (its first instant, UTC) of the partition.';
comment on column dropped_rollups.event_count is 'How many events of the bucket the partition held.';
comment on column dropped_rollups.last_at is 'Their latest event time.';
comment on column dropped_rollups.part is 'Which partition of the month, from 1: late events get another one.';
comment on column dropped_rollups.series_id is 'Who consumed what: a series.';
comment on column dropped_rollups.bucket is
    'The metric''s period if it is week, year or never, whose buckets may reach beyond the month; otherwise month.';
comment on column dropped_rollups.total is 'As in rollups. For unique: how many members the partition held.';
comment on column dropped_rollups.lowest is 'As in rollups.';
comment on column dropped_rollups.highest is 'As in rollups.';
comment on column dropped_rollups.latest is 'As in rollups.';

create table dropped_members (
    bucket_start  timestamptz not null,
    month         timestamptz not null,
    part          bigint      not null,
    series_id     integer     not null,
    member_digest uuid        not null,
    bucket        text        collate "C" not null,

    constraint dropped_members_pkey primary key (series_id, bucket, bucket_start, member_digest)
);

comment on table dropped_members is
    'The members that dropped partitions held, of the buckets that may reach beyond a month: week, year and never. Written by maintain().';
comment on column dropped_members.bucket_start is 'The first instant of the bucket, as in rollups.';
comment on column dropped_members.month is 'The month of the first dropped partition that held the member in this bucket.';
comment on column dropped_members.part is 'Which partition of that month, as in dropped_rollups.';
comment on column dropped_members.series_id is 'Who consumed what: a series, of a metric whose aggregate is unique.';
comment on column dropped_members.member_digest is 'As in unique_members.';
comment on column dropped_members.bucket is 'week, year or never.';

create type month_verdict as (
    month timestamptz, partition_name text, event_count bigint, is_late boolean, drift_count bigint);
comment on type month_verdict is
    'A month that maintain() may let go: how many events its partition held before its rollups were compared with the log, whether it '
    'holds only late events of a month that was dropped before, and how many rollups that cover it differ from the log.';
