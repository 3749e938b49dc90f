-- Nobody is kept waiting: rebuild finds what drifts in one snapshot and corrects only that, each row only if it is still as it was
-- in the snapshot. Whoever records in between has changed the row's event_count, which only ever grows, so the row is left alone and
-- looked at again with a new snapshot; it is locked by then, so twice is enough. Whoever records afterwards waits for the corrected
-- row and adds to it. Locks are taken in the order that record() says: members, then rollups by primary key.
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
    v_drifts    rollup_drift[];
    v_rewritten bigint := 0;
    v_corrected bigint;
begin
    -- One rebuild at a time: the count could else be lowered by one and raised by an event, and look untouched to the other.
    -- It comes before the catalog is read: define_metric() locks the two in this order.
    perform _lock_rebuild();
    perform _check_scope(rebuild.subject, rebuild.metric);
    perform _correct_members(rebuild.subject, rebuild.metric);
    loop
        v_drifts := array(
            select d from _drifts(rebuild.subject, rebuild.metric) d
            where d.stored is distinct from d.recomputed);
        exit when cardinality(v_drifts) = 0;
        -- Several rows that together are one cannot be compared and corrected one by one: they are made one first.
        if exists (
            select from rollups r
            join unnest(v_drifts) d using (subject, metric, bucket, bucket_start)
            where r.stripe > 0
        ) then
            perform _merge_stripes();
            continue;
        end if;
        perform _queue_corrected(v_drifts);
        v_corrected := _correct_rollups(v_drifts);
        v_rewritten := v_rewritten + v_corrected;
        exit when v_corrected = cardinality(v_drifts);
    end loop;
    return v_rewritten;
end
$$;

comment on function rebuild(text, text) is
    'Makes the rollups and members of one subject, one metric or (both null) everything equal the log again, while others record; '
    'returns how many rollups had to be rewritten. Raises UM001 for an unknown metric, 22023 for a blank subject, 40001 when a '
    'REPEATABLE READ or SERIALIZABLE transaction must be tried again.';
