-- lock_timeout: whoever asks for a lock on the log makes everybody behind it wait too, so it gives up soon and is run again later.
create or replace function maintain()
returns setof maintenance_action
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
declare
    v_months    timestamptz[] := array(
        select (date_trunc('month', now() at time zone 'UTC') + make_interval(months => ahead)) at time zone 'UTC'
        from generate_series(0, 3) as ahead);
    v_month     timestamptz;
    v_partition text;
    v_stripes   bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'maintain() needs a READ COMMITTED transaction',
            hint = 'Run it in a transaction of its own: an older snapshot may not see every event that has to be moved.';
    end if;
    -- One at a time; waiting for the other costs nothing, since there is then nothing left to do.
    perform pg_advisory_xact_lock(hashtextextended(format('%s maintain', current_schema()), 0));
    if exists (select from rollups where stripe > 0) then
        v_stripes := _merge_stripes();
        return next ('merged stripes', format('%s rows', v_stripes))::maintenance_action;
    end if;
    if not exists (select from events_default) and not exists (
        select from unnest(v_months) m (month) where _partition_name(m.month) not in (
            select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'events'::regclass)) then
        return;
    end if;

    -- Everybody is kept out from here on. A writer that had already chosen the default partition would fail its check; a reader holds
    -- a lock on every partition, and waiting for those while writers wait for us could end in a deadlock.
    lock table events in access exclusive mode;
    if exists (select from events_default) then
        return query select * from _move_strays(v_months);
    end if;
    foreach v_month in array v_months loop
        v_partition := _create_partition(v_month);
        if v_partition is not null then
            return next ('created partition', v_partition)::maintenance_action;
        end if;
    end loop;
end
$$;

comment on function maintain() is
    'Creates the log''s partitions for this month and the next three, moves events out of the default partition into partitions '
    'of their own, and merges the stripes of striped metrics. Returns what it did; again: nothing. Run it daily. '
    'Raises 55P03 if the log is locked for more than 5 seconds, '
    '25001 in a REPEATABLE READ or SERIALIZABLE transaction.';
