-- Everything that reads the whole month comes before the log is locked. Under the lock the rows are only counted: the log is append-only, so
-- the same number of rows is the same rows. Erasing changes rows without changing their number, but it takes the lock `maintain` first.
create or replace function archive_month(
    month timestamptz, file_name text, file_sha256 text, event_count bigint, digest text, detach boolean default false
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
    perform _check_archive_file(archive_month.file_name, archive_month.file_sha256, archive_month.event_count, archive_month.digest);
    if archive_month.detach is null then
        raise exception using errcode = '22004', message = 'detach is null', column = 'detach',
            hint = 'Pass true to keep the rows as a table of their own, false to drop them.';
    end if;
    perform _check_read_committed('archiving'), _lock('maintain');
    select * into v_archive from archives a where a.file_sha256 = archive_month.file_sha256 and a.restored_at is null;
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
    insert into archives as a (month, part, event_count, first_id, last_id, last_recorded_at, file_name, file_sha256, digest, archived_by)
    select m.month, m.totals_kept, v_logged.event_count, v_logged.first_id, v_logged.last_id, v_logged.last_recorded_at,
           archive_month.file_name, archive_month.file_sha256, v_logged.digest, _session_role()
    from log_months m where m.month = v_verdict.month
    returning * into v_archive;
    return v_archive;
end
$$;

comment on function archive_month(timestamptz, text, text, bigint, text, boolean) is
    'Removes a month from the log that a file holds: its rows were read with archive_rows(). Verifies the month as maintain() does, compares '
    'event_count and digest with the log, then drops the partition (with detach: makes it a table of its own) and keeps its totals, so usage(), '
    'verify() and rebuild() go on. What needs the rows raises UM006 with file_name. file_sha256: of the file, in hexadecimal; a file that is '
    'archived already changes nothing, and its row is returned. Raises 22004 or 22023 for a bad value, UM007 if the month has no partition, 55000 '
    'and changes nothing if the log and the file differ, rollups differ from the log, events are queued to be reported one by one, or other '
    'objects depend on the partition, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after waiting for a lock for 5 seconds. '
    '`pymeter archive export` writes the file and calls it.';

create or replace function _check_archive_file(file_name text, file_sha256 text, event_count bigint, digest text)
returns void
language plpgsql
stable
set search_path from current
as $$
declare
    v_column text := case
        when coalesce(file_name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$', true) then 'file_name'
        when coalesce(file_sha256 !~ '^[0-9a-f]{64}$', true) then 'file_sha256'
        when coalesce(event_count < 1, true) then 'event_count'
        when coalesce(digest !~ '^[0-9a-f]{64}$', true) then 'digest' end;
begin
    if v_column is not null then
        raise exception using
            errcode = case when num_nulls(file_name, file_sha256, event_count, digest) > 0 then '22004' else '22023' end,
            message = 'the description of the file is not valid', column = v_column,
            detail = format('file_name %s, event_count %s.', quote_nullable(left(file_name, 80)), coalesce(event_count::text, 'null')),
            hint = 'A name has up to 200 letters, digits and . _ -, a hash 64 lower-case hexadecimal digits; there is at least one event.';
    end if;
end
$$;

comment on function _check_archive_file(text, text, bigint, text) is 'Raises 22004 or 22023 for what cannot describe the file of an archive.';

create or replace function _raise_not_archived(reason text, hint text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = '55000', message = 'the month was not archived', column = 'month', detail = reason || '. Nothing was changed.',
        hint = _raise_not_archived.hint;
end
$$;

comment on function _raise_not_archived(text, text) is 'Raises 55000: a month could not be archived, and why.';

create or replace function _replace_archives_changed()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    drop table archives_changed;
    create table archives_changed ();
    perform _close_relation('archives_changed');
    comment on table archives_changed is
        'Never has a row. archive_month() replaces it, so that transactions with an older snapshot can tell that a month is gone.';
end
$$;

comment on function _replace_archives_changed() is 'Replaces the table archives_changed: see _needed_archive().';
