-- As a part of events a table has the guard of its rows from there; TRUNCATE, and a table that is no part any more, need their own.
-- ALWAYS: changes that come by replication are refused as well.
create or replace function _guard_partition(name text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_relation regclass := format('%I.%I', current_schema(), _guard_partition.name)::regclass;
begin
    if not exists (select from pg_trigger where tgrelid = v_relation and tgname = 'events_are_append_only') then
        execute format('create trigger events_are_append_only before update or delete on %s for each row execute function _guard_log()',
            v_relation);
        execute format('alter table %s enable always trigger events_are_append_only', v_relation);
    end if;
    if not exists (select from pg_trigger where tgrelid = v_relation and tgname = 'events_are_not_truncated') then
        execute format('create trigger events_are_not_truncated before truncate on %s for each statement execute function _guard_log()',
            v_relation);
        execute format('alter table %s enable always trigger events_are_not_truncated', v_relation);
    end if;
end
$$;

comment on function _guard_partition(text) is
    'Gives a table that is, or was, a partition of the log what it lacks of the guard against UPDATE, DELETE and TRUNCATE.';
