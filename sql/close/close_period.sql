create or replace function close_period(
    subject text,
    since timestamptz default null,
    until timestamptz default null,
    period text default null,
    now timestamptz default now()
)
returns statement_header
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now    timestamptz := coalesce(close_period.now, now());
    v_window tstzrange;
    v_id     bigint;
begin
    if _is_open('close_period') then perform _check_caller('close_period'); end if;
    perform _check_name('subject', close_period.subject, 512), _check_time('now', v_now), _check_closing(), _check_home(close_period.subject);
    v_window := _period_to_close(close_period.subject, close_period.since, close_period.until, close_period.period, v_now);
    v_id := _closed_as(close_period.subject, lower(v_window), upper(v_window));
    if v_id is null then
        begin
            v_id := (select c from _close_periods(array[
                (close_period.subject, lower(v_window), upper(v_window), null, null, null, null, null)::closing]) c);
        exception
            when lock_not_available or deadlock_detected then
                perform _raise_subject_busy(close_period.subject);
            when invalid_parameter_value then
                v_id := _closed_as(close_period.subject, lower(v_window), upper(v_window));  -- by another session, meanwhile
                if v_id is null then
                    raise;
                end if;
        end;
    end if;
    return (select h from _headers(array[v_id]) h);
end
$$;

comment on function close_period(text, timestamptz, timestamptz, text, timestamptz) is
    'Closes a period of a subject: draws a watermark and writes a statement with a line for each metric, which never changes. What is recorded for '
    'the period later is late usage. Without since, until and period: the last billing cycle that ended before now. period: the last one of its '
    'kind that ended before now (a calendar word, UTC, or cycle). Closing the same period again returns its statement. The subject''s recording '
    'waits until the transaction ends. Raises 22004 or 22023 for a bad value, an until after now, or a part that is closed already; 55000 while a '
    'reservation of the period is open, or if its buckets do not equal the log (run rebuild()); 55P03 if a transaction that records for the '
    'subject stays open; 25001 in a REPEATABLE READ or SERIALIZABLE transaction; UM006 if the period cuts a bucket of a dropped month, UM008 for a '
    'subject that is on another shard or being moved. Example: '
    'BEGIN; SELECT since, until, lines FROM meter.close_period(''acct_1'', ''2026-06-01'', ''2026-07-01'', now => ''2026-07-02''); ROLLBACK;';
