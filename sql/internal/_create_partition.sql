-- The caller has locked the log. Strays are put into the table before it is a partition: to a server that follows the log by logical
-- replication they are then what they are, events that it has had.
create or replace function _create_partition(month timestamptz, strays regclass default null)
returns text
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_name  text := _partition_name(month);
    -- Not the session's way of writing a time: in some, a zone is written that is then read as another one.
    v_since text := to_char(month at time zone interval '0', 'YYYY-MM-DD "00:00:00+00"');
    v_until text := to_char(_bucket_end('month', month) at time zone interval '0', 'YYYY-MM-DD "00:00:00+00"');
begin
    -- Not to_regclass(): it answers from a cache, which after a wait does not know yet what the other session created.
    if exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relname = v_name
    ) then
        return null;
    end if;
    execute format('create table %I (like events including defaults including constraints)', v_name);
    if strays is not null then
        execute format('insert into %I select * from %s where at >= %L and at < %L', v_name, strays, v_since, v_until);
    end if;
    execute format('alter table events attach partition %I for values from (%L) to (%L)', v_name, v_since, v_until);
    perform _guard_partition(v_name), _close_relation(v_name);
    execute format('comment on table %I is %L', v_name,
        format('Events of %s (UTC).', to_char(month at time zone interval '0', 'YYYY-MM')));
    -- A month that is known and had no partition has lost it, whoever dropped it: what comes now is not all there was.
    insert into log_months (month) values (_create_partition.month)
    on conflict (month) do update set dropped = true, partitions = log_months.partitions + 1;
    return v_name;
end
$$;

comment on function _create_partition(timestamptz, regclass) is
    'Creates the log''s partition for the month that starts at an instant, with the events of that month that a table of strays holds; '
    'returns its name, or null if there is one already.';
