create or replace function all_events(
    metric text default null,
    since timestamptz default null,
    until timestamptz default null,
    after_id bigint default null,
    max_rows integer default 100
)
returns setof logged_events
language plpgsql
stable
security definer
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_since  timestamptz := coalesce(all_events.since, '-infinity');
    v_until  timestamptz := coalesce(all_events.until, 'infinity');
    v_before bigint := coalesce(all_events.after_id, 9223372036854775807);
    v_found  bigint;
    v_archive archives;
begin
    if _is_open('all_events') then perform _check_caller('all_events'); end if;
    perform _check_max_rows(all_events.max_rows);
    if all_events.metric is not null then
        perform _get_metric(all_events.metric);
    end if;
    if all_events.since is not null or all_events.until is not null then
        perform resolve_window(since => all_events.since, until => all_events.until);
    end if;
    if all_events.after_id < 1 then
        raise exception using errcode = '22023', message = 'after_id is not positive', column = 'after_id',
            detail = format('after_id %s.', all_events.after_id), hint = 'Pass the event_id of the last row of the previous page.';
    end if;
    perform from events where false;  -- locks the log before looking at archives
    v_archive := _archive_between(v_since, v_until, v_before);
    return query
        select e.event_id, e.at, e.recorded_at, s.subject, s.metric, e.quantity, e.member, e.idempotency_key, e.metadata,
               coalesce(k.kind, 'usage') collate "C", k.corrects, k.correction_id
        from _latest_events(all_events.metric, v_since, v_until, v_before, all_events.max_rows) e
        cross join lateral (
            select s.subject, s.metric from series s where s.series_id = e.series_id and s.stripe = 0 offset 0
        ) s
        left join lateral (
            select k.kind, k.corrects, k.correction_id from event_kinds k where k.event_id = e.event_id offset 0
        ) k on true
        where v_archive.archive_id is null or e.event_id > v_archive.last_id
        order by e.event_id desc;
    get diagnostics v_found = row_count;
    if v_archive.archive_id is not null and v_found < all_events.max_rows then
        perform _raise_archived(v_archive, 'Pass a window without that month.');
    end if;
    perform _check_snapshot();
end
$$;

comment on function all_events(text, timestamptz, timestamptz, bigint, integer) is
    'Returns the rows of the log of all subjects, with the columns of events(), by event_id, the latest first. metric: only of this one. since, '
    'until: only those whose time (at) is in [since, until). For the next page, pass the event_id of the last row as after_id; any id will do. A '
    'page with fewer than max_rows (1 to 10,000) rows is the last one. The event of a reservation has the id that the reservation was given, so '
    'its place is where it was reserved. Raises UM001 for an unknown metric, 22004 or 22023 for an invalid argument, UM006 if '
    'the page needs an archived month, 40001 as usage() does. '
    'Example: SELECT subject, metric, quantity FROM meter.all_events(since => ''2026-06-01'', until => ''2026-07-01'', max_rows => 3);';
