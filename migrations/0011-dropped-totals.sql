-- depends: 0010-journal
-- What verify() needs of dropped months, leftover stripes, the carry-over of `last`, and results that tell "no data" from zero.

create table dropped_rollups (
    bucket_start  timestamptz not null,
    month         timestamptz not null,
    event_count   bigint      not null,
    last_at       timestamptz not null,
    part          bigint      not null,
    last_event_id bigint,
    subject       text        not null,
    metric        text        not null,
    bucket        text        not null,
    total         numeric,
    lowest        numeric,
    highest       numeric,
    latest        numeric,

    constraint dropped_rollups_pkey primary key (subject, metric, bucket, bucket_start, month, part)
);

comment on table dropped_rollups is
    'What the dropped partitions of the log held, as totals: verify() and rebuild() add them to what the log still has. Written by maintain().';
comment on column dropped_rollups.bucket_start is 'The first instant of the bucket, as in rollups.';
comment on column dropped_rollups.month is 'The month (its first instant, UTC) of the partition.';
comment on column dropped_rollups.event_count is 'How many events of the bucket the partition held.';
comment on column dropped_rollups.last_at is 'Their latest event time.';
comment on column dropped_rollups.last_event_id is 'For last: the event whose value `latest` is.';
comment on column dropped_rollups.part is 'Which partition of the month, from 1: late events get another one.';
comment on column dropped_rollups.subject is 'Who consumed.';
comment on column dropped_rollups.metric is 'What was consumed: a key of metrics.';
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
    subject       text        not null,
    metric        text        not null,
    bucket        text        not null,
    member_digest bytea       not null,

    constraint dropped_members_pkey primary key (subject, metric, bucket, bucket_start, member_digest)
);

comment on table dropped_members is
    'The members that dropped partitions held, of the buckets that may reach beyond a month: week, year and never. Written by maintain().';
comment on column dropped_members.bucket_start is 'The first instant of the bucket, as in rollups.';
comment on column dropped_members.month is 'The month of the first dropped partition that held the member in this bucket.';
comment on column dropped_members.part is 'Which partition of that month, as in dropped_rollups.';
comment on column dropped_members.subject is 'Who consumed.';
comment on column dropped_members.metric is 'A key of metrics whose aggregate is unique.';
comment on column dropped_members.bucket is 'week, year or never.';
comment on column dropped_members.member_digest is 'As in unique_members.';

alter table log_months add column partitions bigint not null default 1;
alter table log_months add column totals_kept bigint not null default 0;
-- Months that were dropped before now have no totals: with one partition more than they had, they never count as complete.
update log_months set partitions = 2 where dropped;

comment on table log_months is
    'The months that were given a partition of their own. Windows that would need the events of a dropped one are refused. verify() and '
    'rebuild() use the totals that were kept of it, or leave its buckets alone where there are none.';
comment on column log_months.partitions is 'How many partitions the month was given, one after the other.';
comment on column log_months.totals_kept is
    'How many of them maintain() has dropped or detached and kept the totals of. If one was lost otherwise, the month is not verifiable.';

alter table metrics add column may_have_stripes boolean not null default false;
update metrics set may_have_stripes = true where striped or key in (select metric from rollups where stripe > 0);
comment on column metrics.may_have_stripes is
    'Whether a bucket may have several rows: the metric is striped, or was and maintain() has not yet merged the last stripe.';

alter table metrics add column carry boolean not null default false;
alter table metrics add constraint only_last_is_carried check (not carry or aggregate = 'last');
comment on column metrics.carry is
    'For last: whether a window without events has the last value from before it. Seats do; a price that is asked for daily does not.';

alter type usage_total add attribute has_data boolean;
comment on type usage_total is
    'The usage of one metric in the window [since, until); a side of the window that is open is null. has_data: whether the quantity '
    'comes from events: of the window (event_count is above 0) or, carried over, from before it. Without, the quantity is 0.';
alter type usage_bucket add attribute has_data boolean;
comment on type usage_bucket is
    'The usage in one bucket [bucket_start, bucket_end) of a series. has_data: as in usage_total. Without, the quantity is 0 for sum, '
    'count and unique, and null for min, max, avg and last.';
