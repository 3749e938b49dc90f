-- What has been planned and claimed is protected by locks, and after waiting for a lock only a new snapshot shows what it protected.
create or replace function _check_read_committed()
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'reporting needs a READ COMMITTED transaction',
            hint = 'Call it in a transaction of its own: an older snapshot may not see what others have just committed.';
    end if;
end
$$;

comment on function _check_read_committed() is 'Refuses (25001) a REPEATABLE READ or SERIALIZABLE transaction.';

-- maintain() inserts strays anew, so with an older snapshot they are seen neither where they were nor where they are; at READ
-- COMMITTED too, where a statement takes its snapshot before it waits for the log.
-- It replaces the default partition when it does. A query finds the table as it was in the snapshot, to_regclass() as it is now; once
-- the log has been read it is locked, and nothing can move any more. So this is called after reading.
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
            hint = 'Try the transaction again.';
    end if;
end
$$;

comment on function _check_snapshot() is
    'Raises 40001 where the snapshot is older than the place of the log''s events.';
