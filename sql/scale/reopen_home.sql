create or replace function reopen_home(subject text, run uuid default null)
returns boolean
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_move moves;
begin
    if _is_open('reopen_home') then perform _check_caller('reopen_home'); end if;
    v_move := _check_run(reopen_home.subject, reopen_home.run, '{closing}');
    delete from moves m where m.subject = reopen_home.subject;
    if v_move.subject is not null then
        perform _resume_sending(reopen_home.subject);
    end if;
    return v_move.subject is not null;
end
$$;

comment on function reopen_home(text, uuid) is
    'Gives up a move: recording for a subject that is closing goes on. Only while the other shard has not admitted it. Returns whether it was '
    'closed. run: if it is given, only that run may do it. Raises 55000 if the subject has moved or is arriving, or another run moves it, 22004 or '
    '22023 for a bad name. Example: BEGIN; SELECT state FROM meter.close_home(''acct_1'', ''s2''); SELECT meter.reopen_home(''acct_1''); ROLLBACK;';
