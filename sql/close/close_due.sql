-- Recorders of a subject wait from its watermark to the end of the transaction. So a call ends after a second, whatever max_rows is.
create or replace function close_due(now timestamptz default now(), max_rows integer default 1000)
returns setof closing
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now      timestamptz := coalesce(close_due.now, now());
    v_give_up  timestamptz := 'infinity';  -- nobody waits yet
    v_left     integer := close_due.max_rows;
    v_due      closing[];
begin
    if _is_open('close_due') then perform _check_caller('close_due'); end if;
    perform _check_time('now', v_now), _check_max_rows(close_due.max_rows), _check_closing(), _keep_homes();
    while v_left > 0 and clock_timestamp() < v_give_up loop
        v_due := array(select d from _due_periods(v_now, least(v_left, 100), v_give_up) d);
        exit when v_due = '{}';
        v_give_up := least(v_give_up, clock_timestamp() + interval '1 second');
        return query select d.* from _close_each(v_due) d;
        v_left := v_left - cardinality(v_due);
    end loop;
end
$$;

comment on function close_due(timestamptz, integer) is
    'Closes the billing cycles that ended longer before now than the setting grace: of each subject the one that follows its last statement, or if '
    'it has none the last one. At most max_rows (1 to 10,000), and no more after a second, because recording waits for the subjects that it '
    'closes: commit, and call it until it returns no row with the outcome closed. A period that cannot be closed is postponed: its row says why, '
    'and it is tried again after the others. Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction. '
    'Example: BEGIN; SELECT outcome, count(*) FROM meter.close_due(now => ''2026-07-02'') GROUP BY outcome; ROLLBACK;';
