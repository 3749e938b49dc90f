-- The order in which these locks are taken, by everybody who takes more than one: the row of a biller (_lock_planning), then of locks
-- maintain, catalog, rebuild; then the tables metrics and events; then rows, in the order that record() says. The installer and whoever
-- changes rights lock the table yoyo_lock first of all, and none of these.
-- Rows last until the transaction ends, so they work behind a connection pool.
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
        -- Rows are missing after a restore of the schema without its data.
        insert into locks (name) values (_lock.name) on conflict do nothing;
        perform from locks l where l.name = _lock.name for update;
    end if;
exception when lock_not_available then
    perform _raise_busy(format('lock %s', _lock.name));
end
$$;

comment on function _lock(text) is
    'Waits until no other transaction holds the lock of that name, and holds it until this one ends. Raises 55P03 after lock_timeout.';

-- A request for a strong lock makes everybody who comes after it wait too. So this waits for a fraction of a second at a time, lets
-- the others go on in between, and gives up after five seconds. ONLY: who uses a partition has locked the log itself.
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
    v_holders text;
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
    select string_agg(distinct coalesce(l.pid::text, 'a prepared transaction'), ', ') into v_holders
    from pg_locks l
    join unnest(names) n (name) on l.relation = to_regclass(quote_ident(n.name))
    where l.database = (select oid from pg_database where datname = current_database())
      and l.granted and l.pid is distinct from pg_backend_pid();
    raise exception using
        errcode = '55P03', message = 'other transactions use what is to be changed',
        detail = format('%s: used by process %s.', array_to_string(names, ', '), coalesce(v_holders, 'unknown')),
        hint = 'Nothing was changed, and recording goes on. Try again, or first end the transactions of these processes (pg_stat_activity).';
end
$$;

comment on function _lock_tables(text[], text) is
    'Locks tables of the schema, in the order given, without keeping others waiting for more than a quarter of a second at a time. '
    'Raises 55P03 if it has not got all of them after 5 seconds.';

create or replace function _raise_busy(detail text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = '55P03', message = 'another session is changing the meter', detail = _raise_busy.detail || '.',
        hint = 'Try again when its transaction has ended; pg_blocking_pids() and pg_stat_activity show which one it is.';
end
$$;

comment on function _raise_busy(text) is 'Raises 55P03: a lock was not to be had within lock_timeout.';
