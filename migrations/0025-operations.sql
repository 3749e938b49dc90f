-- depends: 0024-api-keys
-- What is known of the meter's operation: how the last verification ended, and the rows that a monitor reads.

alter table maintenance add column found bigint;

comment on column maintenance.task is 'The function: maintain, check_drift or notify_top_ups.';
comment on column maintenance.found is 'What it has found: of check_drift, how many rows differ; null of the others.';

create type operational_metric as (name text, type text, help text, labels jsonb, value numeric);
comment on type operational_metric is
    'One number about the meter for a monitor. name: as Prometheus has it; type: gauge or counter; help: what it is; labels: a JSON object, {} '
    'without labels, never with a subject; value: in base units, such as seconds.';
