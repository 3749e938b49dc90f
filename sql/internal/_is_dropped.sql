-- to_regclass() and pg_partition_root() tell what is now, whatever the snapshot is: whoever calls this has locked the log, so that it
-- stays so. The arguments name all that is the schema's. Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_dropped(dropped boolean, partition_name text, log regclass)
returns boolean
language sql
stable parallel safe
as $$
    select dropped or pg_partition_root(to_regclass(partition_name)) is distinct from log
$$;

comment on function _is_dropped(boolean, text, regclass) is
    'Whether a month of log_months, with the name of its partition, has lost a partition, whoever dropped or detached it.';
