create or replace function events(
    subject text,
    metric text default null,
    since timestamptz default null,
    until timestamptz default null,
    after_id bigint default null,
    max_rows integer default 100,
    after_at timestamptz default null,
    as_of timestamptz default null
)
returns setof logged_events
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_since    timestamptz := coalesce(events.since, '-infinity');
    v_until    timestamptz := coalesce(events.until, 'infinity');
    -- The cursor of the first page is later than every event, so that one indexable condition serves every page.
    v_after_at timestamptz := 'infinity';
    v_after_id bigint := coalesce(events.after_id, 0);
begin
    if _is_open('events') then perform _check_caller('events'); end if;
    perform _check_name('subject', events.subject), _check_here(events.subject), _check_max_rows(events.max_rows);
    if events.metric is not null then
        perform _get_metric(events.metric);
    end if;
    if events.as_of is not null then perform _check_as_of(events.subject, events.as_of); end if;
    if events.since is not null or events.until is not null then
        perform resolve_window(since => events.since, until => events.until);
    end if;
    if events.after_id is not null then
        v_after_at := _event_time(events.subject, events.metric, events.after_id, events.after_at);
        if v_after_at is null then
            perform _check_snapshot();
            perform _raise_archived(a, 'Begin again with the first page.')
            from _archive_of_event(events.subject, events.metric, events.after_id) a where a.archive_id is not null;
            raise exception using errcode = '22023', message = 'after_id is not an event of this subject', column = 'after_id',
                detail = format('after_id %s.', events.after_id), hint = 'Pass the event_id of the last row of the previous page.';
        end if;
    elsif events.after_at is not null then
        raise exception using errcode = '22004', message = 'after_at is given without after_id', column = 'after_id',
            detail = format('after_at %s.', to_char(events.after_at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            hint = 'Pass the event_id of the last row of the previous page as after_id. For events before a given time, use until.';
    end if;
    return query select * from _newest_events(
        events.subject, events.metric, v_since, v_until, v_after_at, v_after_id, events.max_rows,
        coalesce(events.as_of, 'infinity'));
    perform _check_snapshot();
end
$$;

comment on function events(text, text, timestamptz, timestamptz, bigint, integer, timestamptz, timestamptz) is
    'Returns the rows of the log of a subject as they were written, newest first (by at, then by event_id). They explain a charge. kind: usage; '
    'void for a row that takes back the event corrects, with the opposite quantity; adjustment for a signed quantity that is no event. corrects of '
    'usage: the event that it replaces. correction_id: the correction that wrote the row. For the '
    'next page, pass the event_id of the last row as after_id. after_at is optional; passing the at of that row, in any precision, '
    'saves a lookup. max_rows: 1 to 10,000. as_of: only rows that had been recorded up to that watermark. Raises UM001 for an unknown metric, '
    '22004 or 22023 for an invalid argument, 55P03 for an as_of after the last watermark, UM006 if the page needs a month that was archived, UM008 '
    'for a subject that is on another shard or being moved. '
    'Example: SELECT at, quantity, metadata FROM meter.events(''acct_1'', ''tokens'', until => ''2026-06-19'', max_rows => 2);';
