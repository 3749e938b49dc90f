create or replace function statement_document(statement_id bigint)
returns text
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_header statements;
begin
    if _is_open('statement_document') then perform _check_caller('statement_document'); end if;
    v_header := _get_statement(statement_document.statement_id);
    return _statement_text(v_header, (select w.digest from sealed_subjects w where w.subject_id = v_header.subject_id),
        array(select l from statement_lines l where l.statement_id = v_header.statement_id order by l.line));
end
$$;

comment on function statement_document(bigint) is
    'Returns a statement as the text whose SHA-256 is its hash: JSON with sorted keys and without white space, numbers as strings, times in UTC with '
    'six digits. format is the version of this form; subject_digest stands for the subject. Keep it outside of the database, and nobody can change '
    'the statement unnoticed. Raises UM007 for an unknown statement, 22004 for a null, UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT encode(sha256(convert_to(meter.statement_document(s.statement_id), ''UTF8'')), ''hex'') = s.hash AS fits FROM '
    'meter.statements(''acct_1'') s;';
