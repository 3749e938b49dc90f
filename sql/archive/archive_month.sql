-- Everything that reads the whole month comes before the log is locked. Under the lock the rows are only counted: the log is append-only, so
-- the same number of rows is the same rows. Erasing changes rows without changing their number, but it takes the lock `maintain` first.
create or replace function archive_month(
    month timestamptz, file_name text, file_hash text, event_count bigint, digest text, detach boolean default false
)
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
    v_name    text;
    v_verdict month_verdict;
    v_logged  archive_digest;
    v_action  maintenance_action;
begin
    if _is_open('archive_month') then perform _check_caller('archive_month'); end if;
    perform _check_archive_file(archive_month.file_name, archive_month.file_hash, archive_month.event_count, archive_month.digest);
    if archive_month.detach is null then
        raise exception using errcode = '22004', message = 'detach is null', column = 'detach',
            hint = 'Pass true to keep the rows as a table of their own, false to drop them.';
    end if;
    perform _check_read_committed('archiving'), _lock('maintain');
    select * into v_archive from archives a where a.file_hash = archive_month.file_hash and a.restored_at is null;
    if found then
        return v_archive;
    end if;
    v_name := _archived_partition(archive_month.month);
    v_verdict := (_verify_months(array[_bucket_start('month', archive_month.month)]))[1];
    v_logged := _digest_rows(_archive_source(v_name));
    if v_verdict.drift_count > 0 then
        perform _raise_not_archived(format('%s: %s rollups differ from the log', v_name, v_verdict.drift_count), 'Run rebuild() first.');
    elsif (v_logged.event_count, v_logged.digest) is distinct from (archive_month.event_count, archive_month.digest) then
        perform _raise_not_archived(
            format('%s has %s rows, the file %s, or they differ', v_name, v_logged.event_count, archive_month.event_count),
            'Export the month again: something was recorded since, or the file is not of this month.');
    end if;
    perform _keep_totals(v_verdict, _metric_kinds()), _keep_late(v_verdict.month);
    perform _lock_tables(array['events', 'events_default', v_name], 'access exclusive');
    v_action := _expire_month(v_verdict, archive_month.detach);
    if v_action.action not in ('dropped partition', 'detached partition') then
        perform _raise_not_archived(v_action.object, 'Remove the cause, then export the month again.');
    end if;
    perform _replace_archives_changed();
    insert into archives as a (month, part, event_count, first_id, last_id, last_recorded_at, file_name, file_hash, digest, archived_by)
    select m.month, m.totals_kept, v_logged.event_count, v_logged.first_id, v_logged.last_id, v_logged.last_recorded_at,
           archive_month.file_name, archive_month.file_hash, v_logged.digest, _session_role()
    from log_months m where m.month = v_verdict.month
    returning * into v_archive;
    return v_archive;
end
$$;

comment on function archive_month(timestamptz, text, text, bigint, text, boolean) is
    'Removes a month from the log that a file holds: its rows were read with archive_rows(). Verifies the month as maintain() does, compares '
    'event_count and digest with the log, then drops the partition (with detach: makes it a table of its own) and keeps its totals, so usage(), '
    'verify() and rebuild() go on. What needs the rows raises UM006 with file_name. file_hash: of the file, in hexadecimal; a file that is '
    'archived already changes nothing, and its row is returned. Raises 22004 or 22023 for a bad value, UM007 if the month has no partition, 55000 '
    'and changes nothing if the log and the file differ, rollups differ from the log, events are queued to be reported one by one, or other '
    'objects depend on the partition, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after waiting for a lock for 5 seconds. '
    '`pymeter archive export` writes the file and calls it.';
