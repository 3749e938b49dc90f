-- Nobody is kept waiting: rebuild finds what drifts in one snapshot and corrects only that, each row only if it is still as it was
-- in the snapshot. Whoever records in between has changed the row's event_count, which only ever grows, so the row is left alone and
-- looked at again with a new snapshot; it is locked by then, so twice is enough. Whoever records afterwards waits for the corrected
-- row and adds to it. Locks are taken in the order that record() says: members, then rollups by primary key. What drifts is read as a
-- sorted result, which PostgreSQL keeps on disk if it is large, and corrected in batches.
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
    -- One rebuild at a time: the count could else be lowered by one and raised by an event, and look untouched to the other.
    -- It comes before the catalog is read: define_metric() locks the two in this order.
    perform _lock_rebuild();
    -- So does the lock that keeps the log's partitions as they are: snapshots from here on are not older than their places.
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
            -- Several rows that together are one cannot be compared and corrected one by one: they are made one first.
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
    -- Rows that are corrected already keep their recorders waiting for as long as rebuild waits for another row.
    raise exception using
        errcode = '55P03', message = 'other transactions use what is to be changed', detail = sqlerrm,
        hint = 'Nothing was changed. Try again, or first end the transactions that are open for long (pg_stat_activity).';
end
$$;

comment on function rebuild(text, text) is
    'Corrects rollups and members that differ from the log; may run while others record. A null subject or metric means all. Returns how '
    'many rollups were corrected. Raises UM001 for an unknown metric, 22023 for a blank subject, 40001 if a REPEATABLE READ or '
    'SERIALIZABLE transaction must be retried, 55P03 if a row to be corrected is locked for more than a second. '
    'Example: SELECT meter.rebuild(''acct_1'') AS corrected;';
