create or replace function watermark(subject text)
returns timestamptz
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_attempts integer := 0;
begin
    if _is_open('watermark') then perform _check_caller('watermark'); end if;
    perform _check_name('subject', watermark.subject, 512), _check_closing(), _check_home(watermark.subject);
    loop
        v_attempts := v_attempts + 1;
        begin
            return (select w.watermark from _draw_watermarks(array[watermark.subject]) w);
        exception when lock_not_available or deadlock_detected then
            exit when v_attempts = 3;
            perform pg_sleep_for('20 ms');  -- all locks are given up: who waits for one of them goes first
        end;
    end loop;
    perform _raise_subject_busy(watermark.subject);
end
$$;

comment on function watermark(text) is
    'Draws a watermark and returns it: a time up to which nothing of the subject can be recorded any more. Whatever is asked as of it (as_of of '
    'usage(), summary(), series() and events()) has the same answer for ever, until retention drops the events. Draw it in a statement of its '
    'own, and use it in a later one: a statement does not see what it has waited for. The subject''s recording waits until the transaction ends; '
    'later events get a later recorded_at, also after a failover to a server whose clock is behind. Raises 22004 or 22023 for a bad subject, 25001 '
    'in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if a transaction that records for the subject stays open, UM008 for a subject that is '
    'on another shard or being moved. '
    'Example: BEGIN; SELECT meter.watermark(''acct_1'') <= clock_timestamp() AS drawn; ROLLBACK;';
