create or replace function leave_home(subject text, run uuid default null)
returns moves
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    if _is_open('leave_home') then perform _check_caller('leave_home'); end if;
    v_move := _check_run(leave_home.subject, leave_home.run, '{closing,moved}');
    if v_move.state is null then
        raise exception using
            errcode = '55000', message = 'the subject is not closed', column = 'subject',
            detail = format('subject %s.', quote_literal(left(leave_home.subject, 80))), hint = 'Call close_home() first.';
    elsif v_move.state = 'moved' then
        return v_move;
    end if;
    return _note_move(leave_home.subject, 'moved', v_move.other, v_move.run);
end
$$;

comment on function leave_home(text, uuid) is
    'Ends a move at the shard that the subject leaves: closing becomes moved. What is here is an old copy then: reading it raises UM008 too, and '
    'questions about all subjects leave it out. A repetition changes nothing. Returns the row of moves(). run: if it is given, only that run may do '
    'it. Raises 55000 if the subject is not closing, or another run moves it, 22004 or 22023 for a bad name. Example: BEGIN; SELECT '
    'state FROM meter.close_home(''acct_1'', ''s2''); SELECT state, other FROM meter.leave_home(''acct_1''); ROLLBACK;';
