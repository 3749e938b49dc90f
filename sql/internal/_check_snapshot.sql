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
