-- Lock order for every function that takes more than one: the row of a biller (_lock_planning); then the rows maintain, projections, catalog and
-- rebuild of the table locks; then the tables metrics and events; then rows in the order that record() states. The installer, grant_access() and
-- revoke_access() lock the table yoyo_lock first, and none of these.
-- A row lock ends with its transaction, so it works behind a connection pool.
create or replace function _lock(name text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from locks l where l.name = _lock.name for update;
    if not found then
        -- A restore of the schema without its data has no rows here.
        insert into locks (name) values (_lock.name) on conflict do nothing;
        perform from locks l where l.name = _lock.name for update;
    end if;
exception when lock_not_available then
    perform _raise_busy(format('lock %s', _lock.name));
end
$$;

comment on function _lock(text) is
    'Takes the lock of that name until the transaction ends, waiting for its holder. Raises 55P03 after lock_timeout.';

create or replace function _lock_rebuild()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _lock('rebuild');
end
$$;

comment on function _lock_rebuild() is 'Takes the lock that allows one rebuild at a time, until the transaction ends.';

-- While a strong lock is waited for, every later request for the table queues behind it. So this waits for at most a quarter of a second
-- at a time, pauses to let others proceed, and gives up after five seconds. ONLY: a session that uses a partition has locked events too.
create or replace function _lock_tables(names text[], lock_mode text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '50ms'
as $$
declare
    v_tables  text := (select string_agg(format('only %I', n.name), ', ' order by n.number) from unnest(names) with ordinality n (name, number));
    v_give_up timestamptz := clock_timestamp() + interval '5 seconds';
    v_millis  int := 50;
begin
    loop
        begin
            execute format('lock table %s in %s mode', v_tables, lock_mode);
            return;
        exception when lock_not_available or deadlock_detected then
            null;
        end;
        exit when clock_timestamp() > v_give_up;
        perform pg_sleep_for('150 ms');
        v_millis := least(v_millis * 2, 250);
        perform set_config('lock_timeout', v_millis || 'ms', true);
    end loop;
    perform _raise_in_use(names, '{}');
end
$$;

comment on function _lock_tables(text[], text) is
    'Locks tables of the schema, in the given order, without blocking others for more than a quarter of a second at a time. Raises 55P03 '
    'if it does not have all locks after 5 seconds.';

-- A REPEATABLE READ or SERIALIZABLE transaction that records locks the metric's row FOR SHARE until it ends.
create or replace function _lock_metric(key text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '50ms'
as $$
#variable_conflict use_column
declare
    v_give_up timestamptz := clock_timestamp() + interval '5 seconds';
    v_millis  int := 50;
begin
    loop
        begin
            perform from metrics m where m.key = _lock_metric.key for no key update;
            return;
        exception when lock_not_available or deadlock_detected then
            null;
        end;
        exit when clock_timestamp() > v_give_up;
        perform pg_sleep_for('150 ms');
        v_millis := least(v_millis * 2, 250);
        perform set_config('lock_timeout', v_millis || 'ms', true);
    end loop;
    perform _raise_in_use('{metrics}', '{AccessShareLock,RowExclusiveLock,SIReadLock}');
end
$$;

comment on function _lock_metric(text) is
    'Locks the row of a metric for a change, as _lock_tables() locks tables. Raises 55P03 if it does not have the lock after 5 seconds.';

create or replace function _raise_in_use(names text[], harmless text[])
returns void
language plpgsql
stable
set search_path from current
as $$
declare
    v_holders text;
begin
    select string_agg(distinct coalesce(l.pid::text, 'a prepared transaction'), ', ') into v_holders
    from pg_locks l
    join unnest(names) n (name) on l.relation = to_regclass(quote_ident(n.name))
    where l.database = (select oid from pg_database where datname = current_database())
      and l.granted and l.pid is distinct from pg_backend_pid() and l.mode <> all (harmless);
    raise exception using
        errcode = '55P03', message = 'other transactions hold locks on the tables to be changed',
        detail = format('%s: locked by process %s.', array_to_string(names, ', '), coalesce(v_holders, 'unknown')),
        hint = 'Nothing was changed, and recording continues. Try again, or end these transactions first; pg_stat_activity shows them.';
end
$$;

comment on function _raise_in_use(text[], text[]) is
    'Raises 55P03: tables, or a row of them, could not be locked. Names the sessions that hold other locks on them than the harmless ones.';

create or replace function _raise_busy(detail text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = '55P03', message = 'another session is changing the meter', detail = _raise_busy.detail || '.',
        hint = 'Try again after its transaction has ended; pg_blocking_pids() and pg_stat_activity show which one it is.';
end
$$;

comment on function _raise_busy(text) is 'Raises 55P03: a lock could not be taken within lock_timeout.';
