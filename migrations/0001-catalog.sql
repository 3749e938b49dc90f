-- The catalog of metrics, what is installed, and the locks that only one session may hold at a time.

create table metrics (
    key           text        collate "C" not null,
    aggregate     text        collate "C" not null,
    unit          text        collate "C" not null,
    name          text        collate "C",
    description   text        collate "C",
    period        text        collate "C" not null,
    rollup        text        collate "C" not null,
    striped       boolean     not null,
    max_future    interval    not null,
    defined_at    timestamptz not null,
    retired_at    timestamptz,
    billers       text[]      collate "C",
    carry         boolean     not null default false,
    revision      integer     not null default 1,
    -- A metric has buckets of one or two kinds, its period and its rollup.
    fine_bucket   text        collate "C" not null generated always as (case
        when rollup = 'none' then period
        when 'minute' in (period, rollup) then 'minute'
        when 'hour' in (period, rollup) then 'hour'
        else 'day' end) stored,
    coarse_bucket text        collate "C" not null generated always as (case
        when rollup <> 'none' and (period = 'minute' or period = 'hour' and rollup = 'day') then rollup
        else period end) stored,

    constraint metrics_pkey primary key (key),
    constraint aggregate_is_known
        check (aggregate in ('count', 'sum', 'min', 'max', 'avg', 'last', 'unique')),
    constraint period_is_known
        check (period in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never')),
    constraint rollup_is_known
        check (rollup in ('minute', 'hour', 'day', 'none')),
    constraint max_future_is_not_negative
        check (max_future >= interval '0'),
    constraint only_last_is_carried
        check (not carry or aggregate = 'last')
);

comment on table metrics is
    'The catalog: what is metered. One row per metric, changed only by define_metric(), retire_metric() and the mapping to billers.';
comment on column metrics.key is 'The name that record() and usage() take.';
comment on column metrics.aggregate is
    'How events become one number: count, sum, min, max, avg, last or unique.';
comment on column metrics.unit is 'What one of the quantity is, for people and invoices: tokens, GB, seats.';
comment on column metrics.name is 'A title for people; null when the key says enough.';
comment on column metrics.description is 'What is counted and why, for people.';
comment on column metrics.period is
    'The billing bucket, calendar and UTC: minute, hour, day, week (from Monday, ISO 8601), month, year or never.';
comment on column metrics.rollup is
    'The bucket that is kept beside the period, for windows that are not whole periods: minute, hour, day or none.';
comment on column metrics.striped is
    'Whether concurrent writers of one subject may spread over several rows of series instead of waiting for one.';
comment on column metrics.max_future is 'How far past now() an event''s time may lie before it is refused.';
comment on column metrics.defined_at is 'When the metric was first defined.';
comment on column metrics.retired_at is 'When it was retired: readable since, but no longer recorded. Null while in use.';
comment on column metrics.billers is
    'The billers that the metric is reported to: its events are queued for each of them. Null while it is not reported.';
comment on column metrics.carry is
    'For last: whether a window without events has the last value from before it. Seats do; a price that is asked for daily does not.';
comment on column metrics.revision is
    'Goes up by one with every change of the definition or of the billers. The copies in series are good while they have the same number.';
comment on column metrics.fine_bucket is 'The shorter one of period and rollup; the period if the rollup is none.';
comment on column metrics.coarse_bucket is 'The longer one of period and rollup; the same as fine_bucket if the metric has only one kind.';

create table installation (
    version      text        collate "C" not null,
    sql_sha256   text        collate "C" not null,
    installed_at timestamptz not null default now(),

    constraint installation_pkey primary key (version, installed_at, sql_sha256)
);

comment on table installation is 'One row per installation or upgrade; the newest is what is installed.';
comment on column installation.version is 'The version of pymeter that installed it.';
comment on column installation.sql_sha256 is 'SHA-256, in hexadecimal, of the function files that were installed.';
comment on column installation.installed_at is 'When it was installed.';

create table installed_objects (
    kind text collate "C" not null,
    name text collate "C" not null,

    constraint installed_objects_pkey primary key (kind, name),
    constraint kind_is_known check (kind in ('function', 'relation'))
);

comment on table installed_objects is
    'The functions and relations that pymeter has installed, so that rights are changed on these and on nothing else in the schema.';
comment on column installed_objects.kind is 'function, or relation: a table, view or sequence.';
comment on column installed_objects.name is 'The name, without the schema. Partitions of the log are not listed.';

create table locks (
    name text collate "C" not null,

    constraint locks_pkey primary key (name)
);

comment on table locks is
    'One row for each thing that only one session may do at a time; who locks the row may do it. Rows and not advisory locks, which every '
    'role of the database can take.';
comment on column locks.name is 'catalog, maintain or rebuild.';

insert into locks (name) values ('catalog'), ('maintain'), ('rebuild');
