-- After waiting for a lock, only a new snapshot shows what its holder has committed.
create or replace function _check_read_committed(work text default 'reporting')
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = work || ' needs a READ COMMITTED transaction',
            hint = 'Use a transaction of its own: an older snapshot may miss what others have just committed.';
    end if;
end
$$;

comment on function _check_read_committed(text) is
    'Raises 25001 in a REPEATABLE READ or SERIALIZABLE transaction. work: what is to be done in it.';

-- maintain() moves stray events from the default partition to their months, as new rows. An older snapshot sees them in neither place; at
-- READ COMMITTED too, because a statement takes its snapshot before it waits for a lock on events.
-- When maintain() moves events it also replaces the default partition by a new table. to_regclass() finds the new table, pg_class is read
-- with the snapshot: if the snapshot does not have the new table, it is too old. Call this after reading events: the read has locked it, so
-- nothing can move any more.
create or replace function _check_snapshot()
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if not exists (select from pg_class where oid = to_regclass('events_default')) then
        raise exception using
            errcode = '40001', message = 'events were moved to other partitions since the snapshot was taken',
            hint = 'Retry the transaction.';
    end if;
end
$$;

comment on function _check_snapshot() is 'Raises 40001 if events were moved to other partitions after the snapshot was taken.';
