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
    v_trigger  text;
    v_when     text;
begin
    for v_trigger, v_when in
        select t.name, t.fires
        from (values ('events_are_append_only', 'before update or delete on %s for each row'),
                     ('events_are_not_truncated', 'before truncate on %s for each statement')) t (name, fires)
        where not exists (select from pg_trigger g where g.tgrelid = v_relation and g.tgname = t.name)
    loop
        execute format('create trigger %I ' || v_when || ' execute function _guard_log()', v_trigger, v_relation);
        execute format('alter table %s enable always trigger %I', v_relation, v_trigger);
    end loop;
end
$$;

comment on function _guard_partition(text) is
    'Gives a table that is, or was, a partition of the log what it lacks of the guard against UPDATE, DELETE and TRUNCATE.';
