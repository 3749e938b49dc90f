-- Call it after reading the log, which locks it. An older snapshot does not see that a month was archived since: archives_changed is replaced
-- then; to_regclass() finds the new table, pg_class is read with the snapshot.
-- dropped_rollups has a row for each series that had rows in the partition.
create or replace function _needed_archive(
    series_ids integer[], since timestamptz, until timestamptz, recorded_after timestamptz default '-infinity'
)
returns archives
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_archive archives;
begin
    perform _check_archives_snapshot();
    select a.* into v_archive
    from archives a
    where a.restored_at is null and a.month < _needed_archive.until and _bucket_end('month', a.month) > _needed_archive.since
      and a.last_recorded_at > _needed_archive.recorded_after
      and exists (
          select from dropped_rollups d
          where d.series_id = any (_needed_archive.series_ids) and d.month = a.month and d.part = a.part)
    order by a.month desc, a.part desc
    limit 1;
    return v_archive;
end
$$;

comment on function _needed_archive(integer[], timestamptz, timestamptz, timestamptz) is
    'The latest archive with rows of one of these series that may lie in [since, until) and were recorded after recorded_after; null if there is '
    'none. Raises 40001 if the snapshot is older than the last archive.';

-- By event_id: a page whose ids are all higher than those of the archive does not need it.
create or replace function _archive_between(since timestamptz, until timestamptz, before bigint)
returns archives
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_archive archives;
begin
    perform _check_archives_snapshot();
    select a.* into v_archive
    from archives a
    where a.restored_at is null and a.month < _archive_between.until and _bucket_end('month', a.month) > _archive_between.since
      and a.first_id < _archive_between.before
    order by a.last_id desc
    limit 1;
    return v_archive;
end
$$;

comment on function _archive_between(timestamptz, timestamptz, bigint) is
    'The archive with the highest event_id of those that have a month in [since, until) and ids below `before`; null if there is none. Raises '
    '40001 as _needed_archive() does.';

create or replace function _archive_of_event(subject text, metric text, event_id bigint)
returns archives
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_archive archives;
begin
    select a.* into v_archive
    from archives a
    where a.restored_at is null and _archive_of_event.event_id between a.first_id and a.last_id and exists (
        select from _subject_series(_archive_of_event.subject, _archive_of_event.metric) s
        join dropped_rollups d on d.series_id = s.series_id
        where d.month = a.month and d.part = a.part)
    order by a.month desc
    limit 1;
    return v_archive;
end
$$;

comment on function _archive_of_event(text, text, bigint) is
    'The archive that may hold an event which is not in the log: its ids are about that one, and the subject is in it; null if there is none.';

create or replace function _check_archives_snapshot()
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if not exists (select from pg_class where oid = to_regclass('archives_changed')) then
        raise exception using errcode = '40001', message = 'a month was archived since the snapshot was taken', hint = 'Retry the transaction.';
    end if;
end
$$;

comment on function _check_archives_snapshot() is 'Raises 40001 if a month was archived after the snapshot was taken.';

create or replace function _archive_of_month(month timestamptz, event_id bigint default null)
returns archives
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_archive archives;
begin
    select a.* into v_archive
    from archives a
    where a.restored_at is null and a.month = _archive_of_month.month
      and (_archive_of_month.event_id is null or _archive_of_month.event_id between a.first_id and a.last_id)
    order by a.part desc
    limit 1;
    return v_archive;
end
$$;

comment on function _archive_of_month(timestamptz, bigint) is
    'The last archive of the month that starts at an instant, if it may hold the event; null if there is none.';

create or replace function _restore_hint(archive archives, hint text)
returns text
language sql
immutable
set search_path from current
as $$
    select case when (archive).archive_id is null then hint
        else format('Run: pymeter archive restore %s. Or: %s', (archive).file_name, lower(left(hint, 1)) || substr(hint, 2)) end
$$;

comment on function _restore_hint(archives, text) is 'A hint; if there is an archive, with the command that restores it before.';

create or replace function _raise_archived(archive archives, hint text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using
        errcode = 'UM006', message = 'the window needs events that were archived',
        detail = format('file %s, events of %s (UTC).', (archive).file_name, to_char((archive).month at time zone interval '0', 'YYYY-MM')),
        hint = _restore_hint(archive, _raise_archived.hint);
end
$$;

comment on function _raise_archived(archives, text) is 'Raises UM006: events are needed that only a file holds. DETAIL has its name.';
