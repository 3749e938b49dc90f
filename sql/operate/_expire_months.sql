-- The caller has locked the log, so one call drops at most 24 partitions. Months that are kept do not count.
create or replace function _drop_months(verdicts month_verdict[], detach boolean)
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
declare
    v_verdict month_verdict;
    v_action  maintenance_action;
    v_dropped int := 0;
    v_left    int := cardinality(verdicts);
begin
    foreach v_verdict in array verdicts loop
        if v_dropped = 24 then
            perform _discard_totals(v.month) from unnest(verdicts[cardinality(verdicts) - v_left + 1:]) v;
            return next ('again', format('%s months are left to drop: run maintain() again', v_left))::maintenance_action;
            return;
        end if;
        v_action := _expire_month(v_verdict, _drop_months.detach);
        return next v_action;
        v_left := v_left - 1;
        v_dropped := v_dropped + (v_action.action in ('dropped partition', 'detached partition'))::int;
    end loop;
end
$$;

comment on function _drop_months(month_verdict[], boolean) is
    'Drops or detaches the partitions of verified months, at most 24 of them. Returns a row for each month, and a row `again` if some '
    'are left.';

create or replace function _expire_month(verdict month_verdict, detach boolean)
returns maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_month  timestamptz := (_expire_month.verdict).month;
    v_part   bigint := (select totals_kept + 1 from log_months where month = v_month);
    v_kept   bigint := (select coalesce(sum(event_count), 0) from dropped_rollups where month = v_month and part = v_part);
    v_counts bigint := (select coalesce(sum(counts - 1), 0) from event_kinds where at >= v_month and at < _bucket_end('month', v_month));
    v_action maintenance_action;
begin
    if v_kept = (_expire_month.verdict).event_count + v_counts then
        v_action := _drop_month(_expire_month.verdict, _expire_month.detach);
    else
        v_action := ('postponed partition', format('%s: events were recorded while it was verified', (_expire_month.verdict).partition_name));
    end if;
    if v_action.action in ('dropped partition', 'detached partition') then
        update log_months set totals_kept = v_part where month = v_month;
        delete from event_kinds where at >= v_month and at < _bucket_end('month', v_month);
    else
        perform _discard_totals(v_month);
    end if;
    return v_action;
end
$$;

comment on function _expire_month(month_verdict, boolean) is
    'Calls _drop_month() for a verified month. If the partition was not dropped or detached, discards the totals that _keep_totals() '
    'wrote for it.';

-- The caller has locked the log exclusively, so no other session reads or writes it.
create or replace function _drop_month(verdict month_verdict, detach boolean)
returns maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_partition text := (_drop_month.verdict).partition_name;
    v_late      text := case when (_drop_month.verdict).is_late then ': late events of a month that was dropped before' else '' end;
    v_detached  text;
    v_needed    text;
begin
    if _count_partition_events(v_partition) <> (_drop_month.verdict).event_count then
        return ('postponed partition', format('%s: events were recorded while it was verified', v_partition))::maintenance_action;
    end if;
    v_needed := _retention_blocker((_drop_month.verdict).month);
    if v_needed is not null then
        return ('kept partition', format('%s: %s', v_partition, v_needed))::maintenance_action;
    end if;
    if detach then
        v_detached := _detach_partition(v_partition);
    else
        execute format('drop table %I', v_partition);
    end if;
    update log_months set dropped = true where month = (_drop_month.verdict).month;
    return case when detach then ('detached partition', format('%s as %s%s', v_partition, v_detached, v_late))::maintenance_action
                else ('dropped partition', v_partition || v_late)::maintenance_action end;
exception when dependent_objects_still_exist then
    return ('kept partition', format('%s: other objects depend on it', v_partition))::maintenance_action;
end
$$;

comment on function _drop_month(month_verdict, boolean) is
    'Drops or detaches the partition of a verified month. Keeps it if events were added since it was verified, if events of it have '
    'to be reported one by one, or if other objects depend on it. Returns what it did.';

-- The table is renamed, so that late events of the month can get a new partition.
create or replace function _detach_partition(partition_name text)
returns text
language plpgsql
volatile
set search_path from current
as $$
declare
    v_name   text := partition_name || '_detached';
    v_number int := 1;
begin
    while exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relname = v_name
    ) loop
        v_number := v_number + 1;
        v_name := format('%s_detached_%s', partition_name, v_number);
    end loop;
    execute format('alter table events detach partition %I', partition_name);
    execute format('alter table %I rename to %I', partition_name, v_name);
    -- Detaching removes the trigger that was inherited from events.
    perform _guard_partition(v_name);
    execute format('comment on table %I is %L', v_name,
        format('Events that were %s, detached from the log by maintain(): to be dumped and dropped.', partition_name));
    return v_name;
end
$$;

comment on function _detach_partition(text) is
    'Detaches a partition from the log and renames it. The table stays append-only. Returns its new name.';

create or replace function _discard_totals(month timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_part bigint := (select totals_kept + 1 from log_months m where m.month = _discard_totals.month);
begin
    delete from dropped_rollups d where d.month = _discard_totals.month and d.part = v_part;
    delete from dropped_members d where d.month = _discard_totals.month and d.part = v_part;
end
$$;

comment on function _discard_totals(timestamptz) is
    'Deletes the totals that _keep_totals() wrote for a month whose partition is kept after all.';
