-- Built beside the log, which is not locked for it. Strays are put into the table before it is a partition: to a server that follows
-- the log by logical replication they are then what they are, events that it has had.
create or replace function _build_partition(month timestamptz, stray_events bigint)
returns text
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_name   text := _partition_name(month);
    v_bounds text[] := _partition_bounds(month);
begin
    -- Not to_regclass(): it answers from a cache, which after a wait does not know yet what the other session created.
    if exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relname = v_name
    ) then
        return null;
    end if;
    execute format('create table %I (like events including defaults including constraints including indexes)', v_name);
    -- It spares the log a look at every event when the table becomes a partition.
    execute format('alter table %I add constraint at_is_of_the_month check (at >= %L and at < %L)', v_name, v_bounds[1], v_bounds[2]);
    if stray_events > 0 then
        execute format('insert into %I select * from events_default where at >= %L and at < %L', v_name, v_bounds[1], v_bounds[2]);
    end if;
    perform _close_relation(v_name);
    execute format('comment on table %I is %L', v_name,
        format('Events of %s (UTC).', to_char(month at time zone interval '0', 'YYYY-MM')));
    return v_name;
end
$$;

comment on function _build_partition(timestamptz, bigint) is
    'Creates the table that is to be the log''s partition for the month that starts at an instant, with copies of its stray events; '
    'returns its name, or null if something has that name already.';
