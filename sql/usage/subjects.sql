create or replace function subjects(
    max_rows integer default 100,
    after_subject text default null,
    after_at timestamptz default null
)
returns setof subject_activity
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_last     timestamptz;
    v_after_at timestamptz := subjects.after_at;
begin
    if _is_open('subjects') then perform _check_caller('subjects'); end if;
    perform _check_max_rows(subjects.max_rows), _check_time('after_at', subjects.after_at);
    if subjects.after_subject is not null then
        v_last := _last_activity(subjects.after_subject);
        if v_last is null and subjects.after_at is null then
            raise exception using errcode = '22023', message = 'after_subject is not a subject with events', column = 'after_subject',
                detail = format('after_subject %s.', quote_literal(left(subjects.after_subject, 80))),
                hint = 'Give the subject of the last row of the page before.';
        elsif subjects.after_at is null or v_last is not null and subjects.after_at = date_trunc('milliseconds', v_last) then
            v_after_at := v_last;
        end if;
    elsif subjects.after_at is not null then
        raise exception using errcode = '22004', message = 'after_at is given without after_subject', column = 'after_subject',
            detail = format('after_at %s.', to_char(subjects.after_at at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            hint = 'Give the subject of the last row of the page before as after_subject.';
    end if;
    return query select * from _newest_subjects(subjects.max_rows, v_after_at, subjects.after_subject);
end
$$;

comment on function subjects(integer, text, timestamptz) is
    'The subjects with the latest event times, most recent first (by last_activity_at, then subject), at most max_rows (1 to 10,000). '
    'The next page: subject and last_activity_at of the last row as after_subject and after_at. A subject without new events is on exactly '
    'one page; one that gets newer events before its page is read is on none, unless all pages are read in one REPEATABLE READ transaction. '
    'after_at may be cut to milliseconds; with it, after_subject may be a subject of another '
    'meter; without it, the page starts at the present last activity of after_subject. '
    'Raises 22004 or 22023 for a bad value. '
    'Example: SELECT * FROM meter.subjects(10, after_subject => ''acct_2'', after_at => ''2026-06-18T12:00:00Z'');';
