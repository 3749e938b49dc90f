create or replace function archives(max_rows integer default 100, after_id bigint default null)
returns setof archives
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('archives') then perform _check_caller('archives'); end if;
    perform _check_max_rows(archives.max_rows);
    return query
        select a.* from archives a
        where archives.after_id is null or a.archive_id < archives.after_id
        order by a.archive_id desc
        limit archives.max_rows;
end
$$;

comment on function archives(integer, bigint) is
    'Returns the months of the log that were archived, the latest first; restored_at is null while a month is only in its file. For the next '
    'page, pass the archive_id of the last row as after_id. max_rows: 1 to 10,000. Raises 22004 or 22023 for an invalid argument. '
    'Example: SELECT month, file_name, event_count FROM meter.archives();';
