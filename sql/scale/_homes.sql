-- A subject is at home in the meter unless `moves` has a row of it. Two things keep everybody from writing for a subject that is closed:
--
-- 1. The rows of its series are marked: not ordinary, and of no revision. So the short ways of recording do not use them, and _open_series(), which
--    has locked the row, looks into `moves`. Closing waits for the locks on these rows, and so for everybody who has recorded.
-- 2. Who creates a series, or changes anything else of the subject, takes a shared lock on the subject before it looks into `moves`. Closing
--    takes that lock exclusively.
--
-- Advisory locks, because there is no row to lock: most subjects have nothing but series, and those who create these must not wait for each other.
-- More than a few subjects at once are locked as all, so that a large batch does not fill the lock table.
--
-- Inlined: no SET, nothing outside pg_catalog. The schema is that of the caller, which is the meter's.
create or replace function _home_lock(subject text)
returns bigint
language sql
stable parallel safe
as $$
    select hashtextextended(current_schema() || ' ' || subject, 27)
$$;

comment on function _home_lock(text) is 'The number of the advisory lock of a subject; of an empty text, that of all subjects together.';

create or replace function _enter_homes(subjects text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_subjects text[] := array(select distinct u collate "C" from unnest(subjects) u order by 1);
    v_subject  text;
begin
    if cardinality(v_subjects) > 16 then
        perform _keep_homes();
        return;
    end if;
    foreach v_subject in array v_subjects loop
        perform pg_advisory_xact_lock_shared(_home_lock(v_subject));
    end loop;
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
    perform pg_advisory_xact_lock_shared(_home_lock(_check_home.subject));
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
    perform pg_advisory_xact_lock_shared(_home_lock(''));
end
$$;

comment on function _keep_homes() is
    'Keeps every subject from being closed until the transaction ends: for work that is done for all subjects that are at home.';
