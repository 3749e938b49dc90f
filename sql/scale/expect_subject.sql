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
    perform _check_run(expect_subject.subject, null, '{arriving,moved}');
    perform _close_subject(expect_subject.subject, interval '5 seconds');
    -- Another run may have changed it while this one waited.
    v_move := _check_run(expect_subject.subject, null, '{arriving,moved}');
    if v_move.state is null and (_is_known_subject(expect_subject.subject) or _has_rows(expect_subject.subject)) then
        raise exception using
            errcode = '55000', message = 'the subject is at home here', column = 'subject',
            detail = format('subject %s.', quote_literal(left(expect_subject.subject, 80))),
            hint = 'Nothing was changed. Two subjects of one name cannot become one; if the move has ended, there is nothing to do.';
    end if;
    return _note_move(expect_subject.subject, 'arriving', expect_subject.source, expect_subject.run);
end
$$;

comment on function expect_subject(text, text, uuid) is
    'Begins a move at the shard that the subject comes to: until admit_subject(), everything that would write for the subject or read it raises '
    'UM008, and questions about all subjects leave it out. source: the name of the shard where it is at home. A subject that has moved away '
    'from here may come back. run: the run of the command that moves, noted in the row. A repetition changes nothing else. '
    'Returns the row of moves(). Raises 55000 if the subject is at home here, 55P03 '
    'if transactions that have written for it stay open for 5 seconds, 22004 or 22023 for a bad value. '
    'Example: BEGIN; SELECT state, other FROM meter.expect_subject(''acct_50'', ''s2''); ROLLBACK;';
