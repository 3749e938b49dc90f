-- One transaction with the calls of stage_archive(), so a crash leaves nothing. The log is locked only if the month has no partition, and after
-- the rows were written to the new one. Erasing a subject takes the lock `maintain` too, so the subjects stay as they were checked.
create or replace function restore_archive(archive_id bigint)
returns archives
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_archive archives;
begin
    if _is_open('restore_archive') then perform _check_caller('restore_archive'); end if;
    perform _check_read_committed('restoring'), _get_archive(restore_archive.archive_id), _lock('maintain'), _lock_rebuild();
    v_archive := _get_archive(restore_archive.archive_id);
    if v_archive.restored_at is null then
        perform _check_staged(v_archive), _write_restored(v_archive), _forget_part(v_archive.month, v_archive.part);
        update archives a set restored_at = clock_timestamp(), restored_by = _session_role()
        where a.archive_id = restore_archive.archive_id
        returning * into v_archive;
        perform _renumber_last_part(v_archive.month, v_archive.part);
    end if;
    delete from archived_rows r where r.archive_id = restore_archive.archive_id;
    return v_archive;
end
$$;

comment on function restore_archive(bigint) is
    'Puts the rows of an archive back into the log, with what event_kinds had of them, and removes the totals that were kept in their place. The '
    'rows were passed with stage_archive() in this transaction, and must have the count and the digest of the archive. Late events of the month '
    'stay. An archive that is restored already changes nothing. Raises 22004 or UM007 for a bad archive_id, 22023 if the rows are not those of the '
    'archive, 55000 if a subject in it was erased since, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after waiting for a lock '
    'for 5 seconds. In all these cases nothing was changed. '
    '`pymeter archive restore` calls it.';
