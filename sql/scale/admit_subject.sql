create or replace function admit_subject(subject text, run uuid default null)
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
    if _is_open('admit_subject') then perform _check_caller('admit_subject'); end if;
    v_move := _check_run(admit_subject.subject, admit_subject.run, '{arriving}');
    delete from moves m where m.subject = admit_subject.subject;
    if v_move.subject is not null then
        perform _resume_sending(admit_subject.subject);
    end if;
    return v_move.subject is not null;
end
$$;

comment on function admit_subject(text, uuid) is
    'Ends a move at the shard that the subject has come to: it is at home here. Call it only when all of the subject is here and it is closed at '
    'the other shard. Returns whether it was arriving; a repetition changes nothing. run: if it is given, only that run may do it. Raises 55000 if '
    'the subject is closing or has moved, or another run moves it, 22004 or 22023 for a bad name. Example: BEGIN; SELECT '
    'state FROM meter.expect_subject(''acct_50'', ''s2''); SELECT meter.admit_subject(''acct_50''); ROLLBACK;';
