-- Waiting for the oldest running transaction id would not do: a transaction may be past every check before it has an id. Whoever writes events
-- holds this lock on a partition or on its parent until the end of its transaction, and whoever does not hold it yet has not written.
create or replace function _log_barrier(wait interval)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_give_up timestamptz := clock_timestamp() + _log_barrier.wait;
    v_writers text[] := _log_writers();
begin
    loop
        v_writers := array(select w from unnest(v_writers) w where w = any (_log_writers()));
        if v_writers = '{}' then
            return;
        end if;
        exit when clock_timestamp() > v_give_up;
        perform pg_sleep_for('10 ms');
    end loop;
    raise exception using
        errcode = '55P03', message = 'other transactions have written events and are still open',
        detail = format('Waited %s for %s of them.', _log_barrier.wait, cardinality(v_writers)),
        hint = 'Nothing was changed, and recording continues. Try again, or end these transactions first; pg_stat_activity shows them.';
end
$$;

comment on function _log_barrier(interval) is
    'Waits until every transaction that is writing events or keys now has ended. Raises 55P03 after wait.';

create or replace function _log_writers()
returns text[]
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    return array(
        select distinct l.virtualtransaction
        from pg_locks l
        where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
          and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
          and l.database = (select d.oid from pg_database d where d.datname = current_database())
          and l.relation in (
              select c.oid from pg_class c
              where c.oid in (to_regclass('events'), to_regclass('keys'))
                 or c.oid in (select i.inhrelid from pg_inherits i where i.inhparent = to_regclass('events'))));
end
$$;

comment on function _log_writers() is 'The transactions, prepared ones included, that may have written events or keys.';
