-- Runs while others record. It finds the drifting rows in one snapshot and corrects only those, each only if it has not changed since. A
-- record() in between has increased the row's event_count, which never decreases: such a row is skipped and checked again with a new
-- snapshot. It is locked by then, so the second pass succeeds. A record() afterwards waits for the corrected row and adds to it. Locks are
-- taken in the order that record() states: members, then rollups by primary key. The drifts are a sorted result, which PostgreSQL keeps on
-- disk if it is large, and are corrected in batches.
create or replace function rebuild(subject text default null, metric text default null)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set work_mem to '128MB'
as $$
#variable_conflict use_column
declare
    v_batch     record;
    v_found     bigint;
    v_corrected bigint;
    v_rewritten bigint := 0;
    v_striped   boolean := false;
    v_hint      text;
begin
    if _is_open('rebuild') then perform _check_caller('rebuild'); end if;
    -- One rebuild at a time: otherwise one could lower event_count by one, an event raise it again, and the row look unchanged to another.
    -- Taken before the catalog is read: define_metric() locks the two in this order.
    perform _lock_rebuild();
    -- Keeps partitions as they are: no snapshot taken from here on is older than the last move of events.
    lock table only events in access share mode;
    perform _check_scope(rebuild.subject, rebuild.metric);
    perform _correct_members(rebuild.subject, rebuild.metric);
    loop
        v_found := 0;
        v_corrected := 0;
        for v_batch in
            select array_agg(n.drift order by n.number) as drifts, array_agg(n.place order by n.number) as places, bool_or(n.striped) as striped
            from (
                select d.*, row_number() over (
                    order by d.striped desc, (d.drift).subject, (d.drift).metric, (d.drift).bucket, (d.drift).bucket_start) as number
                from _rollup_drifts(rebuild.subject, rebuild.metric, with_members => false) d
            ) n
            group by (n.number - 1) / 2000
            order by (n.number - 1) / 2000
        loop
            -- The stripes of a bucket cannot be compared and corrected one by one: they are merged first.
            v_striped := v_batch.striped;
            exit when v_striped;
            v_found := v_found + cardinality(v_batch.drifts);
            v_corrected := v_corrected + _correct_rollups(v_batch.drifts, v_batch.places);
        end loop;
        if v_striped then
            perform _merge_stripes();
            v_striped := false;
            continue;
        end if;
        v_rewritten := v_rewritten + v_corrected;
        exit when v_corrected = v_found;
    end loop;
    return v_rewritten;
exception when lock_not_available then
    get stacked diagnostics v_hint = pg_exception_hint;
    if v_hint <> '' then
        raise;
    end if;
    -- While rebuild waits for a row, the rows that it has already corrected block their recorders. So it gives up after a second.
    raise exception using
        errcode = '55P03', message = 'other transactions hold locks on the rows to be corrected', detail = sqlerrm,
        hint = 'Nothing was changed. Try again, or end long-running transactions first (pg_stat_activity).';
end
$$;

comment on function rebuild(text, text) is
    'Corrects rollups and members that differ from the log; may run while others record. A null subject or metric means all. Returns how '
    'many rollups were corrected. Raises UM001 for an unknown metric, 22023 for a blank subject, 40001 if a REPEATABLE READ or '
    'SERIALIZABLE transaction must be retried, 55P03 if a row to be corrected is locked for more than a second. '
    'Example: SELECT meter.rebuild(''acct_1'') AS corrected;';
