-- What it does while the log is locked is bounded: what takes time is done before, and the rest is left to the next call.
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
    v_months    timestamptz[];
    v_strays    bigint[];
    v_built     timestamptz[] := '{}';
    v_verdicts  month_verdict[] := '{}';
    v_striped   boolean;
    v_again     text;
    v_unstriped tid[] := _once_striped();
    v_readers   text[] := _catalog_readers();
begin
    if _is_open('maintain') then perform _check_caller('maintain'); end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'maintain() needs a READ COMMITTED transaction',
            hint = 'Run it in a transaction of its own: an older snapshot may not see every event that has to be moved.';
    elsif detach is null then
        raise exception using errcode = '22004', message = 'detach is null', column = 'detach',
            hint = 'Give true to detach what is not kept, false to drop it.';
    end if;
    -- One at a time; waiting for the other costs nothing, since there is then nothing left to do.
    perform _check_keep(maintain.keep), _lock('maintain');
    v_striped := exists (select from rollups where stripe > 0);
    if maintain.keep is not null then
        v_verdicts := _judge_months(maintain.keep);
        return query
            select 'kept partition', format('%s: %s from the log; run rebuild()', partition_name,
                case drift_count when 1 then '1 rollup differs' else format('%s rollups differ', drift_count) end)
            from unnest(v_verdicts) where drift_count > 0;
        v_verdicts := array(select v from unnest(v_verdicts) v where v.drift_count = 0);
        perform _keep_totals(v, _catalog_kinds()) from unnest(v_verdicts) v;
    end if;
    select array_agg(month), array_agg(stray_events) into v_months, v_strays from _due_months(maintain.keep);
    if cardinality(v_months) > 24 then
        v_again := format('%s months have no partition yet: run maintain() again', cardinality(v_months) - 24);
        v_months := v_months[:24];
        v_strays := v_strays[:24];
    end if;
    if v_verdicts <> '{}' or v_months <> '{}' then
        v_built := array(select m.month from unnest(v_months, v_strays) m (month, strays) where _build_partition(m.month, m.strays) is not null);
        return query select * from _extend_log(v_built, (select coalesce(sum(s), 0)::bigint from unnest(v_strays) s),
            array(select partition_name from unnest(v_verdicts)));
        -- Strays that were moved into a month have not been verified with it: it is counted, and stays for now.
        return query select * from _let_months_go(v_verdicts, maintain.detach);
    end if;
    -- Last, because rows that are locked now keep others from recording; with the log locked already, it waits for nobody. To look
    -- through a large table would then take too long.
    if v_striped and v_built || array(select month from unnest(v_verdicts)) <> '{}' and pg_relation_size('rollups') > 1e8 then
        v_again := coalesce(v_again, 'stripes are left to merge: run maintain() again');
    elsif v_striped then
        return next ('merged stripes', format('%s rows', _merge_stripes()))::maintenance_action;
    end if;
    perform _forget_stripes(v_unstriped, v_readers);
    if v_again is not null then
        return next ('again', v_again)::maintenance_action;
    end if;
    insert into maintenance (task, done_at) values ('maintain', now()) on conflict (task) do update set done_at = excluded.done_at;
end
$$;

comment on function maintain(interval, boolean) is
    'Creates the log''s partitions for this month and the next three, moves events out of the default partition into partitions '
    'of their own, and merges the stripes of striped metrics. Events of far-off months stay in the default partition once the log has 64 '
    'partitions, unless a month has 10,000 of them. Given keep, it drops (with detach: makes tables of their own, to be '
    'dumped) the partitions of all months (UTC) that ended before now() - keep, each only if the rollups and members that cover it '
    'equal the log and no events of it wait to be reported one by one; otherwise the month is kept and a row says why. Other usage that is '
    'not reported yet is reported from the rollups. Idempotency keys, rollups and members stay for ever. Events that '
    'come late to a month that was dropped are counted, verified together with the totals of what was dropped, and dropped in their turn. '
    'Returns what it did, and what it kept or postponed; again: nothing new. One call creates and drops at most 24 partitions of each kind; '
    'the action again says that there are more. Run it daily. Raises 22023 for a bad keep, 22004 for a null detach, '
    '55P03 if it has to wait for a lock for more than 5 seconds, 25001 in a REPEATABLE READ or SERIALIZABLE transaction.';
