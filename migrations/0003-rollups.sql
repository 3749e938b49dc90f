-- depends: 0002-log
-- What is derived from the log, in the transaction that writes the log.

-- One row holds only what its metric's aggregate needs; the other columns are null and take no room. One merge rule then fits
-- every aggregate: add totals, keep extremes, keep the latest. Null is the neutral element of each.
-- fillfactor leaves room on the page for the next version of a row, and no index has a column that changes: updates stay HOT.
create table rollups (
    bucket_start  timestamptz not null,
    event_count   bigint      not null,
    last_at       timestamptz not null,
    last_event_id bigint,
    stripe        smallint    not null default 0,
    subject       text        not null,
    metric        text        not null,
    bucket        text        not null,
    total         numeric,
    lowest        numeric,
    highest       numeric,
    latest        numeric,

    constraint rollups_pkey primary key (subject, metric, bucket, bucket_start, stripe)
) with (fillfactor = 70);

comment on table rollups is
    'Aggregates of one (subject, metric) over one bucket: the metric''s period and its finer rollup. Derived from the log; rebuild() restores it.';
comment on column rollups.bucket_start is 'The first instant of the bucket (UTC calendar); 1970-01-01 for a period of never.';
comment on column rollups.event_count is 'How many events are in the bucket.';
comment on column rollups.last_at is 'The latest event time in the bucket.';
comment on column rollups.last_event_id is 'For last: the event whose value `latest` is. Null for all other aggregates.';
comment on column rollups.stripe is 'Several rows of one bucket, told apart by this number, together hold its aggregate.';
comment on column rollups.subject is 'Who consumed.';
comment on column rollups.metric is 'What was consumed: a key of metrics.';
comment on column rollups.bucket is 'The kind of bucket: minute, hour, day, week, month, year or never.';
comment on column rollups.total is 'For sum, count and avg: the sum of quantities. For unique: how many members. Null for the others.';
comment on column rollups.lowest is 'For min: the least quantity.';
comment on column rollups.highest is 'For max: the greatest quantity.';
comment on column rollups.latest is 'For last: the quantity at last_at.';

-- For subjects(): the newest buckets first. Its columns never change, so it does not stand in the way of HOT updates. Without the
-- subject, so that the planner never takes it for the primary key of a look-up.
create index rollups_newest on rollups (bucket, bucket_start);

create table unique_members (
    bucket_start  timestamptz not null,
    subject       text        not null,
    metric        text        not null,
    bucket        text        not null,
    member_digest bytea       not null,

    constraint unique_members_pkey primary key (subject, metric, bucket, bucket_start, member_digest)
);

comment on table unique_members is
    'The distinct members of each bucket of a unique metric. Derived from the log; rebuild() restores it.';
comment on column unique_members.bucket_start is 'The first instant of the bucket, as in rollups.';
comment on column unique_members.subject is 'Who consumed.';
comment on column unique_members.metric is 'A key of metrics whose aggregate is unique.';
comment on column unique_members.bucket is 'The kind of bucket, as in rollups.';
comment on column unique_members.member_digest is
    'The first 128 bits of the member''s SHA-256: short, of one length, and as distinct as the member. The log keeps the text.';
