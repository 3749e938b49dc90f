-- A subject is at home in the meter unless `moves` has a row of it. Two things keep everybody from writing for a subject that is closed:
--
-- 1. The rows of its series are marked: not ordinary, and of no revision. So the short ways of recording do not use them, and _open_series(), which
--    has locked the row, looks into `moves`. Closing waits for the locks on these rows, and so for everybody who has recorded.
-- 2. Who creates a series, or changes anything else of the subject, takes a shared lock on the subject before it looks into `moves`. Closing
--    takes that lock exclusively.
--
-- These locks are rows of `locks`, 1,024 of them, because most subjects have no row but those of series, and an advisory lock could be taken by
-- every role of the database. More than a few subjects at once are locked as all, so that a large batch does not lock so many rows.
create or replace function _home_lock(subject text)
returns text
language sql
immutable parallel safe
as $$
    select 'home ' || (hashtextextended(subject, 27) & 1023)
$$;

comment on function _home_lock(text) is 'The name of the lock of a subject, which it shares with others. That of all subjects together is homes.';

-- KEY SHARE: those who write do not wait for each other. A restore of the schema without its data has no rows here.
create or replace function _keep_home_locks(names text[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_locked bigint;
begin
    loop
        perform from locks l where l.name = any (names) order by l.name for key share;
        get diagnostics v_locked = row_count;
        exit when v_locked = cardinality(names);
        insert into locks (name) select n from unnest(names) n order by 1 on conflict do nothing;
    end loop;
end
$$;

comment on function _keep_home_locks(text[]) is 'Takes locks of subjects until the transaction ends, together with others who write for them.';

create or replace function _enter_homes(subjects text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_names text[] := array(select distinct _home_lock(u) from unnest(subjects) u where u is not null);
begin
    perform _keep_home_locks(case when cardinality(v_names) > 16 then '{homes}' else v_names end);
end
$$;

comment on function _enter_homes(text[]) is 'Keeps subjects from being closed until the transaction ends, waiting for those that are being closed.';

-- A snapshot that is older than the lock may not have the row that closes the subject. Inserting a row tells.
create or replace function _check_homes(subjects text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _enter_homes(_check_homes.subjects);
    if current_setting('transaction_isolation') <> 'read committed' then
        begin
            insert into moves (subject, state, other)
            select distinct u collate "C", 'closing', '' from unnest(_check_homes.subjects) u order by 1 on conflict do nothing;
            raise savepoint_exception;
        exception when savepoint_exception then
            null;
        end;
    end if;
    perform _refuse_moved(_check_homes.subjects);
end
$$;

comment on function _check_homes(text[]) is
    'Keeps subjects from being closed until the transaction ends. Raises UM008 if one of them is not at home here, 40001 if that has changed since '
    'the snapshot of a REPEATABLE READ or SERIALIZABLE transaction.';

create or replace function _check_home(subject text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    if _check_home.subject is null then
        return;
    elsif current_setting('transaction_isolation') <> 'read committed' then
        perform _check_homes(array[_check_home.subject]);
        return;
    end if;
    perform from locks l where l.name = _home_lock(_check_home.subject) for key share;
    if not found then
        perform _keep_home_locks(array[_home_lock(_check_home.subject)]);
    end if;
    select * into v_move from moves m where m.subject = _check_home.subject;
    if found then
        perform _raise_moved(v_move);
    end if;
end
$$;

comment on function _check_home(text) is 'What _check_homes() does, for one subject; nothing for a null.';

create or replace function _keep_homes()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _keep_home_locks('{homes}');
end
$$;

comment on function _keep_homes() is
    'Keeps every subject from being closed until the transaction ends: for work that is done for all subjects that are at home.';
