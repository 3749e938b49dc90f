-- depends: 0002-log
-- What is derived from the log, in the transaction that writes the log: the open buckets in series, all others in rollups.

create sequence series_ids as integer cache 1;
comment on sequence series_ids is 'Numbers series. Gaps mean nothing.';

-- What changes with every event stands together at the end, so that the WAL of an update is short. No index has a column that changes with
-- every event, and the pages have room for the next version of a row: updates stay HOT.
create table series (
    fine_start    timestamptz not null,
    fine_end      timestamptz not null,
    coarse_start  timestamptz not null,
    coarse_end    timestamptz not null,
    newest_start  timestamptz not null,
    ahead_at      timestamptz,
    series_id     integer     not null,
    revision      integer     not null,
    stripe        smallint    not null,
    has_stripes   boolean     not null,
    is_ordinary   boolean     not null,
    is_count      boolean     not null,
    metric        text        collate "C" not null,
    subject       text        collate "C" not null,
    unit          text        collate "C" not null,
    billers       text[]      collate "C",
    fine_last_at   timestamptz not null,
    coarse_last_at timestamptz not null,
    version        bigint      not null default 0,
    fine_count     bigint      not null default 0,
    coarse_count   bigint      not null default 0,
    fine_total     numeric,
    coarse_total   numeric,
    fine_lowest    numeric,
    coarse_lowest  numeric,
    fine_highest   numeric,
    coarse_highest numeric,
    fine_latest    numeric[],
    coarse_latest  numeric[],

    constraint series_pkey primary key (metric, subject, stripe),
    constraint series_by_id unique (series_id, stripe)
) with (fillfactor = 50);

-- For subjects(): who was active last. Its column changes once in a fine bucket.
create index series_newest on series (newest_start);

comment on table series is
    'One row per subject and metric (and stripe): what recording has to know, and the totals of the two open buckets. Open is the latest '
    'bucket that has an event; events ahead of the clock''s bucket do not open one. Derived from the log; rebuild() restores it.';
comment on column series.fine_start is 'The first instant of the open bucket of the kind metrics.fine_bucket.';
comment on column series.fine_end is 'The end (exclusive) of that bucket; infinity for never.';
comment on column series.coarse_start is 'The first instant of the open bucket of the kind metrics.coarse_bucket. The open fine bucket lies in it.';
comment on column series.coarse_end is 'The end (exclusive) of that bucket; infinity for never.';
comment on column series.newest_start is 'The start of the fine bucket of the latest event, one ahead of the clock included.';
comment on column series.ahead_at is 'The latest time of an event that was ahead of the clock''s bucket and has not been caught up with; null if there is none.';
comment on column series.series_id is 'Stands for the subject and metric everywhere else; the same for all stripes.';
comment on column series.revision is 'The revision of the metric that unit, billers and is_ordinary were copied from.';
comment on column series.stripe is '0: the row that every series has. Above: a row for concurrent writers of a striped metric. The sum counts.';
comment on column series.has_stripes is 'Whether the series has rows with a stripe above 0, and so its usage has to be added up.';
comment on column series.is_ordinary is
    'Whether record() may add to this row in its short way: the metric is a count or sum whose period is no shorter than its rollup, and this is '
    'the only row of the series.';
comment on column series.is_count is 'Whether the metric is a count: an event without a quantity counts 1.';
comment on column series.metric is 'What is consumed: a key of metrics.';
comment on column series.subject is 'Who consumes: an opaque text.';
comment on column series.unit is 'The metric''s unit.';
comment on column series.billers is 'The metric''s billers.';
comment on column series.fine_last_at is 'The latest event time in the open fine bucket.';
comment on column series.coarse_last_at is 'The latest event time in the open coarse bucket.';
comment on column series.version is 'Only grows: with every change of this row or of a rollup of it. rebuild() tells by it what has changed.';
comment on column series.fine_count is 'How many events are in the open fine bucket; 0: there is no such bucket.';
comment on column series.coarse_count is 'How many events are in the open coarse bucket, those of the open fine bucket included.';
comment on column series.fine_total is 'As rollups.total.';
comment on column series.coarse_total is 'As rollups.total.';
comment on column series.fine_lowest is 'As rollups.lowest.';
comment on column series.coarse_lowest is 'As rollups.lowest.';
comment on column series.fine_highest is 'As rollups.highest.';
comment on column series.coarse_highest is 'As rollups.highest.';
comment on column series.fine_latest is 'As rollups.latest.';
comment on column series.coarse_latest is 'As rollups.latest.';

-- The texts of subject and metric are nowhere else: without the row of a series, its events are nobody's. Until the functions are installed the
-- guard fails closed.
create function _guard_series() returns trigger language plpgsql as $$
begin
    raise exception using errcode = '55000', message = 'the functions are not installed', hint = 'Run: pymeter migrate';
end
$$;
comment on function _guard_series() is 'Trigger: refuses to delete a series.';

create trigger series_are_not_deleted before delete on series for each row when (old.stripe = 0) execute function _guard_series();
create trigger series_are_not_truncated before truncate on series for each statement execute function _guard_series();
alter table series enable always trigger series_are_not_deleted;
alter table series enable always trigger series_are_not_truncated;

-- One row holds only what its metric's aggregate needs; the other columns are null and take no room. One merge rule fits every aggregate:
-- add counts and totals, least, greatest. Null is the neutral element of each.
create table rollups (
    bucket_start timestamptz not null,
    event_count  bigint      not null,
    last_at      timestamptz not null,
    series_id    integer     not null,
    stripe       smallint    not null default 0,
    bucket       text        collate "C" not null,
    total        numeric,
    lowest       numeric,
    highest      numeric,
    latest       numeric[],

    constraint rollups_pkey primary key (series_id, bucket, bucket_start, stripe) with (fillfactor = 100)
) with (fillfactor = 90);

-- For merging stripes: which are there. Empty of all metrics that are not striped.
create index rollups_stripes on rollups (series_id) where stripe > 0;

comment on table rollups is
    'Aggregates of a series over the buckets that are not open: written once, when a later one begins, and changed by late events. Derived '
    'from the log; rebuild() restores it.';
comment on column rollups.bucket_start is 'The first instant of the bucket (UTC calendar); 1970-01-01 for a period of never.';
comment on column rollups.event_count is 'How many events are in the bucket.';
comment on column rollups.last_at is 'The latest event time in the bucket.';
comment on column rollups.series_id is 'Who consumed what: a series.';
comment on column rollups.stripe is 'The stripe of the series that has written the row; the rows of one bucket together hold its aggregate.';
comment on column rollups.bucket is 'The kind of bucket: minute, hour, day, week, month, year or never.';
comment on column rollups.total is 'For sum, count and avg: the sum of quantities. For unique: how many members. Null for the others.';
comment on column rollups.lowest is 'For min: the least quantity.';
comment on column rollups.highest is 'For max: the greatest quantity.';
comment on column rollups.latest is
    'For last: {seconds since 1970 of the event''s time, its event_id, its quantity}. Arrays are compared element by element, so the greatest '
    'is the latest.';

-- For people and for functions that need the texts. The planner takes them apart: a condition reaches the tables. LEFT JOIN: a query that does
-- not ask for texts is planned without the join.

create view logged_events as
select e.event_id, e.at, e.recorded_at, s.subject, s.metric, e.quantity, e.member, e.idempotency_key, e.metadata
from events e
join series s on s.series_id = e.series_id and s.stripe = 0;

comment on view logged_events is 'The log with the texts of subject and metric: what events() returns.';
comment on column logged_events.event_id is 'Unique; ascending in the order of recording.';
comment on column logged_events.at is 'When the usage happened: decides the period it is counted in.';
comment on column logged_events.recorded_at is 'When it was recorded.';
comment on column logged_events.subject is 'Who consumed: an opaque text.';
comment on column logged_events.metric is 'What was consumed: a key of metrics.';
comment on column logged_events.quantity is 'How much, in the metric''s unit; null for unique metrics.';
comment on column logged_events.member is 'The identifier that a unique metric counts; null for all other metrics.';
comment on column logged_events.idempotency_key is 'The caller''s own key; null if none was given.';
comment on column logged_events.metadata is 'The caller''s own facts, a JSON object.';

create view buckets as
select r.series_id, s.subject, s.metric, r.bucket, r.bucket_start, r.stripe, r.event_count, r.last_at, r.total, r.lowest, r.highest, r.latest
from rollups r
left join series s on s.series_id = r.series_id and s.stripe = 0
union all
select s.series_id, s.subject, s.metric, m.coarse_bucket, s.coarse_start, s.stripe, s.coarse_count, s.coarse_last_at, s.coarse_total,
       s.coarse_lowest, s.coarse_highest, s.coarse_latest
from series s
join metrics m on m.key = s.metric
where s.coarse_count > 0
union all
select s.series_id, s.subject, s.metric, m.fine_bucket, s.fine_start, s.stripe, s.fine_count, s.fine_last_at, s.fine_total,
       s.fine_lowest, s.fine_highest, s.fine_latest
from series s
join metrics m on m.key = s.metric
where s.fine_count > 0 and m.fine_bucket <> m.coarse_bucket;

comment on view buckets is
    'Every bucket that has events, open and closed, of every stripe, with the texts of subject and metric. The rows of one bucket together hold '
    'its aggregate.';
comment on column buckets.series_id is 'The series.';
comment on column buckets.subject is 'Who consumed.';
comment on column buckets.metric is 'What was consumed.';
comment on column buckets.bucket is 'The kind of bucket.';
comment on column buckets.bucket_start is 'The first instant of the bucket (UTC).';
comment on column buckets.stripe is 'The stripe.';
comment on column buckets.event_count is 'How many events are in the bucket.';
comment on column buckets.last_at is 'The latest event time in the bucket.';
comment on column buckets.total is 'As rollups.total.';
comment on column buckets.lowest is 'As rollups.lowest.';
comment on column buckets.highest is 'As rollups.highest.';
comment on column buckets.latest is 'As rollups.latest.';
