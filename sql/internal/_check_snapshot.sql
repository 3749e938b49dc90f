-- maintain() inserts strays anew, so a transaction with an older snapshot would see them neither where they were nor where they are.
-- It replaces the default partition when it does. A query finds the table as it was in the snapshot, to_regclass() as it is now; once
-- the log has been read it is locked, and nothing can move any more. So this is called after reading.
create or replace function _check_snapshot()
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if current_setting('transaction_isolation') not in ('repeatable read', 'serializable') then
        return;
    end if;
    if not exists (select from pg_class where oid = to_regclass('events_default')) then
        raise exception using
            errcode = '40001', message = 'events were moved to other partitions since the snapshot of this transaction',
            hint = 'Try the transaction again.';
    end if;
end
$$;

comment on function _check_snapshot() is
    'Raises 40001 in a REPEATABLE READ or SERIALIZABLE transaction whose snapshot is older than the place of the log''s events.';
