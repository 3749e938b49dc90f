create or replace function _check_archive_file(file_name text, file_hash text, event_count bigint, digest text)
returns void
language plpgsql
stable
set search_path from current
as $$
declare
    v_column text := case
        when coalesce(file_name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$', true) then 'file_name'
        when coalesce(file_hash !~ '^[0-9a-f]{64}$', true) then 'file_hash'
        when coalesce(event_count < 1, true) then 'event_count'
        when coalesce(digest !~ '^[0-9a-f]{64}$', true) then 'digest' end;
begin
    if v_column is not null then
        raise exception using
            errcode = case when num_nulls(file_name, file_hash, event_count, digest) > 0 then '22004' else '22023' end,
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
