create or replace function expect_subject(subject text, source text, run uuid default null)
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
    if _is_open('expect_subject') then perform _check_caller('expect_subject'); end if;
    perform _check_name('source', expect_subject.source, 128);
    v_move := _check_moving(expect_subject.subject, expect_subject.source, expect_subject.run, 'expect_subject');
    if v_move.state = 'closing' then
        perform _refuse_move(v_move, 'It is at home here: finish or reopen that move first.');
    end if;
    perform _close_subject(expect_subject.subject, interval '5 seconds');
    return _note_move(expect_subject.subject, 'arriving', expect_subject.source, expect_subject.run);
end
$$;

comment on function expect_subject(text, text, uuid) is
    'Begins a move at the shard that the subject comes to: until admit_subject(), everything that would write for the subject or read it raises '
    'UM008, and questions about all subjects leave it out. source: the name of the shard where it is at home. A subject that has moved away '
    'from here may come back. run: the run of the command that moves, noted in the row. A repetition changes nothing else. Returns the row of moves(). Raises 55000 '
    'if the subject is closing here, 55P03 if transactions that have written for it stay open for 5 seconds, 22004 or 22023 for a bad value. '
    'Example: BEGIN; SELECT state, other FROM meter.expect_subject(''acct_50'', ''s2''); ROLLBACK;';
