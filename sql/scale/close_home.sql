create or replace function close_home(subject text, target text, wait interval default '5 seconds', run uuid default null)
returns moves
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('close_home') then perform _check_caller('close_home'); end if;
    perform _check_name('target', close_home.target, 128);
    if close_home.wait is null then
        raise exception using errcode = '22004', message = 'wait is null', column = 'wait', hint = 'Leave it out, or give at most a minute.';
    elsif close_home.wait not between interval '0' and interval '1 minute' then
        raise exception using errcode = '22023', message = 'wait is negative or longer than a minute', column = 'wait',
            detail = format('wait %s.', close_home.wait), hint = 'Leave it out, or give at most a minute.';
    end if;
    perform _check_target(close_home.subject, close_home.target);
    perform _close_subject(close_home.subject, close_home.wait);
    -- Another run may have closed it while this one waited.
    perform _check_target(close_home.subject, close_home.target);
    return _note_move(close_home.subject, 'closing', close_home.target, close_home.run);
end
$$;

comment on function close_home(text, text, interval, uuid) is
    'Begins the closed time of a move: from the end of the transaction, everything that would write for the subject raises UM008 with the target in '
    'DETAIL, and everybody who has written before has committed. Reading goes on. Other subjects are not affected. '
    'target: the name of the shard that the subject moves to. wait: how long transactions that have written for the subject are waited '
    'for, at most a minute. run: the run of the command that moves, noted in the row. Call it in a transaction of its own. A repetition with the '
    'same target waits again. Returns the row of moves(). Raises 55P03 after wait (nothing is closed then), 55000 if the '
    'subject is not at home here or is moving elsewhere, 22004 or 22023 for a bad value, 25001 in a transaction with one snapshot. '
    'Example: BEGIN; SELECT state, other FROM meter.close_home(''acct_1'', ''s2''); ROLLBACK;';
