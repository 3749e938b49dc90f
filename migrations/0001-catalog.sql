-- The catalog of metrics, and the note of what is installed.

create table metrics (
    key         text        not null,
    aggregate   text        not null,
    unit        text        not null,
    name        text,
    description text,
    period      text        not null,
    rollup      text        not null,
    striped     boolean     not null,
    max_future  interval    not null,
    defined_at  timestamptz not null,
    retired_at  timestamptz,

    constraint metrics_pkey primary key (key),
    constraint aggregate_is_known
        check (aggregate in ('count', 'sum', 'min', 'max', 'avg', 'last', 'unique')),
    constraint period_is_known
        check (period in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never')),
    constraint rollup_is_known
        check (rollup in ('hour', 'day', 'none')),
    constraint max_future_is_not_negative
        check (max_future >= interval '0')
);

comment on table metrics is
    'The catalog: what is metered. One row per metric, changed only through define_metric() and retire_metric().';
comment on column metrics.key is 'The name that record() and usage() take.';
comment on column metrics.aggregate is
    'How events become one number: count, sum, min, max, avg, last or unique.';
comment on column metrics.unit is 'What one of the quantity is, for people and invoices: tokens, GB, seats.';
comment on column metrics.name is 'A title for people; null when the key says enough.';
comment on column metrics.description is 'What is counted and why, for people.';
comment on column metrics.period is
    'The billing bucket, calendar and UTC: minute, hour, day, week (from Monday, ISO 8601), month, year or never.';
comment on column metrics.rollup is
    'The finer bucket kept beside the period, for windows that are not whole periods: hour, day or none.';
comment on column metrics.striped is
    'Whether concurrent writers of one subject may spread over several rollup rows instead of waiting for one.';
comment on column metrics.max_future is 'How far past now() an event''s time may lie before it is refused.';
comment on column metrics.defined_at is 'When the metric was first defined.';
comment on column metrics.retired_at is 'When it was retired: readable since, but no longer recorded. Null while in use.';

create table installation (
    version      text        not null,
    sql_sha256   text        not null,
    installed_at timestamptz not null default now()
);

comment on table installation is 'One row per installation or upgrade; the newest is what is installed.';
comment on column installation.version is 'The version of pymeter that installed it.';
comment on column installation.sql_sha256 is 'SHA-256, in hexadecimal, of the function files that were installed.';
comment on column installation.installed_at is 'When it was installed.';
