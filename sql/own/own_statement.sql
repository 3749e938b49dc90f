create or replace function own_statement(subject text, statement_id bigint)
returns setof statement_line
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    perform _check_own(own_statement.subject);
    -- Another subject's statement is as unknown as one that does not exist.
    if own_statement.statement_id is not null and not exists (
        select from statements t join sealed_subjects w on w.subject_id = t.subject_id
        where t.statement_id = own_statement.statement_id and w.subject = own_statement.subject
    ) then
        raise exception using errcode = 'UM007', message = 'no such statement', column = 'statement_id',
            detail = format('statement_id %s.', own_statement.statement_id), hint = 'own_statements() lists them.';
    end if;
    return query select * from statement(own_statement.statement_id);
end
$$;

comment on function own_statement(text, bigint) is
    'The lines of a statement of the subject, as statement() returns them, for a role that grant_access() has bound to the subject. Raises UM007 for '
    'an unknown statement or another subject''s, 22004 for a null, 42501 if the role is not bound to the subject, UM008 for a subject that is on '
    'another shard or being moved. Example: BEGIN; SET LOCAL ROLE '
    'portal; SELECT l.line, l.kind, l.metric, l.quantity, l.amount, l.currency FROM meter.own_statements(''acct_1'') s, '
    'meter.own_statement(''acct_1'', s.statement_id) l; ROLLBACK;';
