create or replace function _get_archive(archive_id bigint)
returns archives
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_archive archives;
begin
    if _get_archive.archive_id is null then
        raise exception using errcode = '22004', message = 'archive_id is null', column = 'archive_id', hint = 'See archives().';
    end if;
    select a.* into v_archive from archives a where a.archive_id = _get_archive.archive_id;
    if not found then
        raise exception using
            errcode = 'UM007', message = 'no such archive', column = 'archive_id', detail = format('archive_id %s.', _get_archive.archive_id),
            hint = 'See archives().';
    end if;
    return v_archive;
end
$$;

comment on function _get_archive(bigint) is 'An archive. Raises 22004 for null, UM007 if there is none.';
