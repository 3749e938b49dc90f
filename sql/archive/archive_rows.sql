create or replace function archive_rows(month timestamptz)
returns setof archive_row
language plpgsql
stable
security definer
set search_path from current
set jit to off
as $$
begin
    if _is_open('archive_rows') then perform _check_caller('archive_rows'); end if;
    return query execute _archive_source(_archived_partition(archive_rows.month)) || ' order by e.event_id';
end
$$;

comment on function archive_rows(timestamptz) is
    'Returns the rows of a month''s partition of the log, in the order of event_id, for the file that archive_month() is called with. month: any '
    'instant of it (UTC). kind to counts: what event_kinds says of a row that a correction wrote. Raises 22004 for a null month, 22023 for a '
    'month that has not ended, UM007 if it has no partition. '
    'Example: SELECT count(*) FROM meter.archive_rows(''2026-06-01'');';
