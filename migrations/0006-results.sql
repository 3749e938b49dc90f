-- depends: 0005-retention
-- The row types that functions return, or pass on as arrays. New attributes go to the end.

create type recorded as (
    event_id bigint, outcome text, quantity numeric, unit text, period_start timestamptz, period_end timestamptz);
comment on type recorded is
    'What record() did. outcome: recorded, duplicate or conflict; event_id: the event that counts (the first one, for a repeat); '
    'quantity: the aggregate of the period [period_start, period_end) that it counts in; period_end is null when it never ends.';

create type batch_outcome as (
    ordinal bigint, event_id bigint, outcome text, sqlstate text, message text, hint text);
comment on type batch_outcome is
    'What record_batch() did with one event: recorded, duplicate, conflict or rejected; sqlstate, message and hint say why it was rejected.';

create type usage_total as (
    metric text, quantity numeric, unit text, aggregate text, event_count bigint, since timestamptz, until timestamptz, has_data boolean);
comment on type usage_total is
    'The usage of one metric in the window [since, until); a side of the window that is open is null. has_data: whether the quantity '
    'comes from events: of the window (event_count is above 0) or, carried over, from before it. Without, the quantity is 0.';

create type usage_bucket as (
    bucket_start timestamptz, bucket_end timestamptz, quantity numeric, event_count bigint, has_data boolean);
comment on type usage_bucket is
    'The usage in one bucket [bucket_start, bucket_end) of a series. has_data: as in usage_total. Without, the quantity is 0 for sum, '
    'count and unique, and null for min, max, avg and last.';

create type usage_group as (value text, quantity numeric, event_count bigint);
comment on type usage_group is 'The usage of the events that share one value of a dimension; the value is null where they lack it.';

create type quota_status as (
    metric text, allowed boolean, used numeric, remaining numeric, quota numeric, unit text, since timestamptz, until timestamptz);
comment on type quota_status is
    'How usage stands to a quota in the window [since, until); remaining is never negative. A side of the window that is open is null.';

create type subject_activity as (subject text, last_activity_at timestamptz);
comment on type subject_activity is 'A subject and its latest event time.';

create type subject_total as (subject text, quantity numeric, event_count bigint);
comment on type subject_total is
    'The usage of a subject in a window. event_count is 0 where a metric that carries its last value over had no event in the window.';

create type drift as (
    subject text, metric text, bucket text, bucket_start timestamptz, stored numeric, recomputed numeric, what text);
comment on type drift is
    'A rollup that does not equal the log: the stored quantity and the recomputed one (null: no such row), and what differs: '
    'rollup, members or both.';

create type maintenance_action as (action text, object text);
comment on type maintenance_action is 'One thing that maintain() did, and to what.';

-- Arrays of the types below are passed between functions.

create type window_cut as (
    since timestamptz, fine_since timestamptz, coarse_since timestamptz,
    coarse_until timestamptz, fine_until timestamptz, until timestamptz);
comment on type window_cut is
    'Where a window is cut: [coarse_since, coarse_until) is whole coarse buckets, what is beside it up to fine_since and fine_until is '
    'whole fine buckets, the rest is left to the log.';

create type rollup_drift as (
    series_id integer, subject text, metric text, bucket text, bucket_start timestamptz, stored rollups, recomputed rollups,
    members_drift boolean);
comment on type rollup_drift is
    'A rollup as it is stored and as the log says it should be; null where there is none. members_drift: its members differ too.';

create type member_drift as (
    series_id integer, bucket text, bucket_start timestamptz, member_digest uuid, stored boolean, logged boolean, unfounded boolean,
    stored_seen bit varying, logged_seen bit varying);
comment on type member_drift is
    'A row of unique_members that differs from the log: whether there is one, whether the log asks for one, whether it claims more '
    'than the log, and both bit strings.';

create type batch_event as (
    ordinal bigint, subject text, metric text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb,
    problem text, detail text, event_id bigint, digest uuid);
comment on type batch_event is
    'One event of a batch on its way in: as parsed, with the code of its problem if it has one, else with its event id and the digest of its key.';
