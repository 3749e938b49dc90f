-- Runs while others record. It reads the drifts and the versions of their series in one snapshot, then locks the rows of each series and
-- corrects it only if no version has changed. A series that somebody has added to since is skipped, and read again with a new snapshot; its rows
-- are locked by then, so the second pass corrects it. A record() afterwards waits for the corrected row and adds to it. Locks are taken in the
-- order that record() states, but for the table of members, which comes before rows of series for all. The drifts are a sorted result, which
-- PostgreSQL keeps on disk if it is large, and are corrected in batches.
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
    v_scope     integer[];
    v_batch     record;
    v_done      record;
    v_found     bigint;
    v_corrected bigint;
    v_rewritten bigint := 0;
    v_held      integer;
    v_hint      text;
begin
    if _is_open('rebuild') then perform _check_caller('rebuild'); end if;
    -- One rebuild at a time. Taken before the catalog is read: define_metric() locks the two in this order.
    perform _lock_rebuild(), _check_home(rebuild.subject), _keep_homes();
    -- Keeps partitions as they are: no snapshot taken from here on is older than the last move of events.
    lock table only events in access share mode;
    v_scope := _series_in_scope(rebuild.subject, rebuild.metric, true);
    perform _correct_members(v_scope);
    loop
        v_found := 0;
        v_corrected := 0;
        v_held := null;
        for v_batch in
            select array_agg(n.correction order by n.number) filter (where n.is_missing) as missing,
                   array_agg(n.correction order by n.number) filter (where not n.is_missing) as wrong,
                   array_agg(n.series_id order by n.number) filter (where n.is_first) as series_ids,
                   array_agg(n.version order by n.number) filter (where n.is_first) as versions,
                   count(*) as found
            from (
                select d.series_id, d.version, row_number() over w as number, d.stored is null as is_missing,
                       (row_number() over w - 1) % 5000 = 0 or d.series_id <> lag(d.series_id) over w as is_first,
                       case when d.recomputed is null
                           then (d.bucket_start, 0, '-infinity', d.series_id, 0, d.bucket, null, null, null, null)::rollups
                           else d.recomputed end as correction
                from _rollup_drifts(v_scope, with_members => false) d
                window w as (order by d.series_id, d.bucket, d.bucket_start)
            ) n
            group by (n.number - 1) / 5000
            order by (n.number - 1) / 5000
        loop
            select * into v_done from _correct_rollups(v_batch.missing, v_batch.wrong, v_batch.series_ids, v_batch.versions, v_held);
            v_held := v_done.last_corrected;
            v_found := v_found + v_batch.found;
            v_corrected := v_corrected + v_done.corrected;
        end loop;
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
    'Corrects buckets and members that differ from the log; may run while others record. A null subject or metric means all. Returns how '
    'many buckets were corrected. Raises UM001 for an unknown metric, 22023 for a blank subject, 40001 if a REPEATABLE READ or '
    'SERIALIZABLE transaction must be retried, 55P03 if a row to be corrected is locked for more than a second, UM008 for a subject that is on '
    'another shard or being moved. '
    'Example: SELECT meter.rebuild(''acct_1'') AS corrected;';
