-- The one exception to append-only: erasing a subject removes texts. What an event counts, and when, stays.
create or replace function _guard_log()
returns trigger
language plpgsql
set search_path from current
as $$
#variable_conflict use_column
begin
    if tg_op = 'UPDATE' then
        if row(new.event_id, new.at, new.recorded_at, new.series_id, new.quantity, new.member is null)
            is not distinct from row(old.event_id, old.at, old.recorded_at, old.series_id, old.quantity, old.member is null)
            and new.idempotency_key is null and new.metadata is null
            and exists (select from erasures e where e.series_id = old.series_id and e.transaction = pg_current_xact_id())
        then
            return new;
        end if;
    end if;
    raise exception using
        errcode = '42501',
        message = 'the log is append-only',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'Record a correcting event instead; maintain() manages partitions.';
end
$$;

comment on function _guard_log() is 'Trigger function: raises 42501 on UPDATE, DELETE and TRUNCATE of events, for the owner too.';

create or replace function _guard_series()
returns trigger
language plpgsql
set search_path from current
as $$
begin
    raise exception using
        errcode = '42501',
        message = 'a series cannot be deleted',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'Its events stay in the log, and only this row tells whose they are.';
end
$$;

comment on function _guard_series() is
    'Trigger function: raises 42501 on TRUNCATE of series and on DELETE of a row that is not a stripe, for the owner too.';

-- A partition inherits the row trigger of events, but not the one for TRUNCATE; a detached partition has neither.
-- ALWAYS: the triggers also fire under session_replication_role = replica.
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

comment on function _guard_partition(text) is 'Creates the missing append-only triggers on a table that is or was a partition of events.';

-- ALTER DEFAULT PRIVILEGES, which some hosting providers set, grants rights on new tables to other roles.
create or replace function _close_relation(name text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_relation regclass := format('%I.%I', current_schema(), _close_relation.name)::regclass;
    v_grantee  oid;
begin
    for v_grantee in
        select distinct a.grantee from pg_class c, aclexplode(c.relacl) a where c.oid = v_relation and a.grantee <> c.relowner
    loop
        execute format('revoke all on %s from %s cascade', v_relation, case v_grantee when 0 then 'public' else v_grantee::regrole::text end);
    end loop;
end
$$;

comment on function _close_relation(text) is 'Revokes all rights on a new table, view or sequence from every role but its owner.';
