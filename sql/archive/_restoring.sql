create or replace function _check_staged(archive archives)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_staged archive_digest := _digest_rows(format('select * from archived_rows where archive_id = %s', (archive).archive_id));
    v_erased text;
begin
    if (v_staged.event_count, v_staged.digest) is distinct from ((archive).event_count, (archive).digest) then
        raise exception using
            errcode = '22023', message = 'the rows are not those of the archive', column = 'archive_id',
            detail = format('%s rows of %s, or other ones.', v_staged.event_count, (archive).event_count),
            hint = format('Nothing was changed. Restore the file %s.', (archive).file_name);
    end if;
    v_erased := (
        select r.metric
        from (select distinct a.series_id, a.subject, a.metric from archived_rows a where a.archive_id = (archive).archive_id) r
        left join series s on s.series_id = r.series_id and s.stripe = 0
        where (s.subject, s.metric) is distinct from (r.subject, r.metric)
        limit 1);
    if v_erased is not null then
        raise exception using
            errcode = '55000', message = 'a subject of the archive was erased', column = 'archive_id', detail = format('metric %s.', v_erased),
            hint = 'The file has its texts, so it cannot be restored; the totals of the month stay. Delete the file to complete the erasure.';
    end if;
end
$$;

comment on function _check_staged(archives) is 'Raises 22023 if the staged rows are not those of the archive, 55000 if a subject of them was erased.';

-- Stray events of a month without a partition are moved into the new one under the lock, as maintain() does; then the rows follow.
create or replace function _write_restored(archive archives)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_month  timestamptz := (archive).month;
    v_name   text := _partition_name((archive).month);
    v_strays bigint;
    v_is_new boolean;
begin
    perform from events where false;
    v_is_new := pg_partition_root(to_regclass(v_name)) is distinct from 'events'::regclass;
    if v_is_new then
        v_strays := (select count(*) from events_default e where e.at >= v_month and e.at < _bucket_end('month', v_month));
        perform _build_partition(v_month, v_strays);
        if v_strays > 0 then
            perform _extend_log(array[v_month], v_strays, '{}');
        end if;
    end if;
    execute format($sql$
        insert into %I (event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata)
        select event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata
        from archived_rows where archive_id = $1 order by event_id
        $sql$, v_name) using (archive).archive_id;
    insert into event_kinds (event_id, at, corrects, undone_by, correction_id, series_id, counts, kind, recorded_at)
    select r.event_id, r.at, r.corrects, r.undone_by, r.correction_id, r.series_id, r.counts, r.kind, r.recorded_at
    from archived_rows r where r.archive_id = (archive).archive_id and r.kind is not null;
    if v_is_new and v_strays = 0 then
        perform _lock_tables('{events, events_default}', 'access exclusive');
        if exists (select from events_default e where e.at >= v_month and e.at < _bucket_end('month', v_month)) then
            raise exception using
                errcode = '55P03', message = 'events of the month were recorded meanwhile', detail = format('partition %s.', v_name),
                hint = 'Nothing was changed. Try again.';
        end if;
        perform _attach_partition(v_month);
    end if;
end
$$;

comment on function _write_restored(archives) is
    'Writes the staged rows to the month''s partition of the log, which is created if it has none, and to event_kinds.';
