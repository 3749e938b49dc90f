-- The work that is done while the log is locked is bounded: slow steps come before, and what exceeds the bound is left to the next call.
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
    v_strays   bigint[];
    v_built    timestamptz[] := '{}';
    v_verdicts month_verdict[] := '{}';
    v_again    text;
    v_old_keys bigint;
    v_stripes  integer[];
begin
    if _is_open('maintain') then perform _check_caller('maintain'); end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'maintain() needs a READ COMMITTED transaction',
            hint = 'Run it in a READ COMMITTED transaction of its own: an older snapshot may not see all events that have to be moved.';
    elsif detach is null then
        raise exception using errcode = '22004', message = 'detach is null', column = 'detach',
            hint = 'Pass true to detach expired months, false to drop them.';
    end if;
    -- One call at a time. A call that waited for another finds nothing left to do.
    perform _check_keep(maintain.keep), _lock('maintain'), _keep_homes();
    return query select 'aligned ids', a from _align_sequences() a;
    v_old_keys := _note_key_mark();
    v_stripes := _series_to_merge(501);
    if maintain.keep is not null then
        v_verdicts := _verify_expired_months(maintain.keep);
        return query
            select 'kept partition', format('%s: %s from the log; run rebuild()', partition_name,
                case drift_count when 1 then '1 rollup differs' else format('%s rollups differ', drift_count) end)
            from unnest(v_verdicts) where drift_count > 0;
        v_verdicts := array(select v from unnest(v_verdicts) v where v.drift_count = 0);
        perform _keep_totals(v, _metric_kinds()), _keep_late(v.month) from unnest(v_verdicts) v;
    end if;
    select array_agg(month), array_agg(stray_events) into v_months, v_strays from _months_to_create(maintain.keep);
    if cardinality(v_months) > 24 then
        v_again := format('%s months have no partition yet: run maintain() again', cardinality(v_months) - 24);
        v_months := v_months[:24];
        v_strays := v_strays[:24];
    end if;
    if v_verdicts <> '{}' or v_months <> '{}' then
        v_built := array(select m.month from unnest(v_months, v_strays) m (month, strays) where _build_partition(m.month, m.strays) is not null);
        return query select * from _extend_log(v_built, (select coalesce(sum(s), 0)::bigint from unnest(v_strays) s),
            array(select partition_name from unnest(v_verdicts)));
        -- A month that stray events were moved into has more events than were verified, so it is postponed.
        return query select * from _drop_months(v_verdicts, maintain.detach);
        -- Not while the log is locked: moving keys takes seconds, and who holds the rows of stripes may wait for the log.
        if v_stripes <> '{}' then
            v_again := coalesce(v_again, 'stripes are left to merge: run maintain() again');
        end if;
    else
        return query select * from _move_keys(v_old_keys);
        return query select * from _merge_idle_stripes(v_stripes);
        return query select * from _notify_top_ups(1000);
        return query select * from _notify_late_usage(1000);
        return query select * from _delete_expired();
        return query select * from _tidy_reservations(maintain.keep);
    end if;
    if v_again is not null then
        return next ('again', v_again)::maintenance_action;
    end if;
    insert into maintenance (task, done_at) values ('maintain', now()) on conflict (task) do update set done_at = excluded.done_at;
end
$$;

comment on function maintain(interval, boolean) is
    'Maintains the log; run it daily. It creates the partitions of this month and the next three, moves events from the default partition to '
    'partitions of their months, moves idempotency keys that are older than two days to old_keys if there are many, and merges the rows of striped '
    'metrics whose open bucket is over, makes the ids of a shard its own again after a restore, '
    'deletes notifications and entries of admin_log that are older than settings() says, marks reservations '
    'that have expired, and writes a notification of each, of each top-up that is used up or has expired, and of late usage of closed periods. '
    'Months are calendar months in UTC. With keep, it also drops the partitions of all months that ended before now() - keep; with detach, it '
    'makes them tables of their own instead, to be dumped and dropped. A month is kept, and a row says why, if its rollups or members differ from '
    'the log, or if its events are queued to be reported one by one; other usage that is not reported yet is reported from the rollups later. '
    'Idempotency keys, rollups and members are never dropped; reservations that have ended are deleted with the months that keep drops. Late '
    'events of a dropped month are counted; their partition is verified and dropped by a later call. Once the log has 64 partitions, other months '
    'get one only if they are within a year of now, have 10,000 events, or are to be dropped; events of the rest stay in the default partition. '
    'One call creates at most 24 partitions, drops at most 24 and moves at most 1,000,000 keys; one that creates or drops partitions leaves keys '
    'and stripes to the next. A row with the action again says that there is more to do. Returns a row for each action, and for each month that '
    'was kept or postponed. Raises 22004 for a null detach, 22023 for an invalid keep, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, '
    '55P03 after waiting for a lock for 5 seconds. Example: SELECT * FROM meter.maintain();';
