create or replace function stage_archive(archive_id bigint, rows jsonb)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_count bigint;
begin
    if _is_open('stage_archive') then perform _check_caller('stage_archive'); end if;
    perform _get_archive(stage_archive.archive_id);
    if stage_archive.rows is null or jsonb_typeof(stage_archive.rows) <> 'array' then
        raise exception using
            errcode = case when stage_archive.rows is null then '22004' else '22023' end, message = 'rows is not a JSON array', column = 'rows',
            hint = 'Pass an array of objects with the fields of archive_row.';
    end if;
    insert into archived_rows (archive_id, event_id, at, recorded_at, series_id, subject, metric, quantity, member, idempotency_key, metadata,
                               kind, corrects, correction_id, undone_by, counts)
    select stage_archive.archive_id, r.event_id, r.at, r.recorded_at, r.series_id, r.subject, r.metric, r.quantity, r.member, r.idempotency_key,
           r.metadata::jsonb, r.kind, r.corrects, r.correction_id, r.undone_by, r.counts
    from jsonb_to_recordset(stage_archive.rows) as r (
        event_id bigint, at timestamptz, recorded_at timestamptz, series_id integer, subject text, metric text, quantity numeric, member text,
        idempotency_key text, metadata text, kind text, corrects bigint, correction_id bigint, undone_by bigint, counts smallint);
    get diagnostics v_count = row_count;
    return v_count;
exception when data_exception or not_null_violation then
    if sqlerrm in ('rows is not a JSON array', 'archive_id is null') then
        raise;
    end if;
    raise exception using
        errcode = '22023', message = 'rows are not those of an archive', column = 'rows', detail = left(sqlerrm, 200) || '.',
        hint = 'Pass the rows of the file as archive_rows() returned them, metadata as a text.';
end
$$;

comment on function stage_archive(bigint, jsonb) is
    'Passes rows of a file to restore_archive(), which has to be called in the same transaction. rows: an array of objects with the fields of '
    'archive_row, quantity and metadata as texts; call it with some thousands at a time. Returns how many they were. Raises UM007 for an unknown '
    'archive, 55000 for one that is restored already, 22004 or 22023 for a bad value. '
    '`pymeter archive restore` calls it.';
