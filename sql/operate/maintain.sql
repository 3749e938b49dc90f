-- lock_timeout: whoever asks for a lock on the log makes everybody behind it wait too, so it gives up soon and is run again later.
create or replace function maintain(keep interval default null, detach boolean default false)
returns setof maintenance_action
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_months   timestamptz[];
    v_verdicts month_verdict[] := '{}';
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'maintain() needs a READ COMMITTED transaction',
            hint = 'Run it in a transaction of its own: an older snapshot may not see every event that has to be moved.';
    elsif detach is null then
        raise exception using errcode = '22004', message = 'detach is null', column = 'detach',
            hint = 'Give true to detach what is not kept, false to drop it.';
    end if;
    -- One at a time; waiting for the other costs nothing, since there is then nothing left to do.
    perform _check_keep(maintain.keep), pg_advisory_xact_lock(hashtextextended(format('%s maintain', current_schema()), 0));
    if maintain.keep is not null then
        v_verdicts := _judge_months(maintain.keep);
        return query
            select 'kept partition', format('%s: %s from the log; run rebuild()', partition_name,
                case drift_count when 1 then '1 rollup differs' else format('%s rollups differ', drift_count) end)
            from unnest(v_verdicts) where drift_count > 0;
        v_verdicts := array(select v from unnest(v_verdicts) v where v.drift_count = 0);
    end if;
    v_months := array(select _missing_months(now()));
    if v_verdicts <> '{}' or v_months <> '{}' or exists (select from events_default) then
        -- Everybody is kept out from here on. A writer that had already chosen the default partition would fail its check; a reader
        -- holds a lock on every partition, and waiting for those while writers wait for us could end in a deadlock.
        lock table events in access exclusive mode;
        if exists (select from events_default) then
            return query select * from _move_strays(v_months);
        else
            return query
                select 'created partition', p.name
                from unnest(v_months) m (month) cross join lateral _create_partition(m.month) p (name)
                where p.name is not null;
        end if;
        -- Strays that were moved into a month have not been verified with it: it is counted, and stays for now.
        return query select a.* from unnest(v_verdicts) v cross join lateral _let_go(v, maintain.detach) a;
    end if;
    -- Last, because rows that are locked now keep others from recording; with the log locked already, it waits for nobody.
    if exists (select from rollups where stripe > 0) then
        return next ('merged stripes', format('%s rows', _merge_stripes()))::maintenance_action;
    end if;
    insert into maintenance (task, done_at) values ('maintain', now()) on conflict (task) do update set done_at = excluded.done_at;
end
$$;

comment on function maintain(interval, boolean) is
    'Creates the log''s partitions for this month and the next three, moves events out of the default partition into partitions '
    'of their own, and merges the stripes of striped metrics. Given keep, it drops (with detach: makes tables of their own, to be '
    'dumped) the partitions of all months (UTC) that ended before now() - keep, each only if the rollups and members that cover it '
    'equal the log and no events of it wait to be reported one by one; otherwise the month is kept and a row says why. Other usage that is '
    'not reported yet is reported from the rollups. Idempotency keys, rollups and members stay for ever. Events that '
    'come late to a month that was dropped are counted, and dropped in their turn, unverified since the rest of the month is gone. '
    'Returns what it did, and what it kept or postponed; again: nothing new. Run it daily. Raises 22023 for a bad keep, 22004 for a null detach, '
    '55P03 if it has to wait for a lock for more than 5 seconds, 25001 in a REPEATABLE READ or SERIALIZABLE transaction.';
