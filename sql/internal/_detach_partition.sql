-- Renamed, so that late events of the month can have a partition again.
create or replace function _detach_partition(partition_name text)
returns text
language plpgsql
volatile
set search_path from current
as $$
declare
    v_name   text := partition_name || '_detached';
    v_number int := 1;
begin
    while exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relname = v_name
    ) loop
        v_number := v_number + 1;
        v_name := format('%s_detached_%s', partition_name, v_number);
    end loop;
    execute format('alter table events detach partition %I', partition_name);
    execute format('alter table %I rename to %I', partition_name, v_name);
    -- The guard that it had as a part of events has ended with that.
    perform _guard_partition(v_name);
    execute format('comment on table %I is %L', v_name,
        format('Events that were %s, detached from the log by maintain(): to be dumped and dropped.', partition_name));
    return v_name;
end
$$;

comment on function _detach_partition(text) is
    'Makes a partition of the log a table of its own, still append-only, and returns its name.';
