-- depends: 0005-members
-- Retention: what a month without its events means, and what maintain() finds out before it lets one go.

comment on table log_months is
    'The months that were given a partition of their own. One that has lost it since no longer explains its rollups: verify() and '
    'rebuild() leave those alone, and windows that would need its events are refused.';
comment on column log_months.dropped is
    'Whether the month has lost a partition: maintain() dropped or detached it, or it was gone when events that came late needed '
    'another one. It stays true: what such a partition holds is not all there was.';

create type month_verdict as (
    month timestamptz, partition_name text, event_count bigint, is_late boolean, drift_count bigint);
comment on type month_verdict is
    'A month that maintain() may let go: how many events its partition held before its rollups were compared with the log, whether it '
    'holds only late events of a month that was dropped before, and how many rollups that cover it differ from the log.';
