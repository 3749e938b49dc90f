create or replace function _get_statement(id bigint)
returns statements
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_header statements;
begin
    if id is null then
        raise exception using errcode = '22004', message = 'statement_id is null', column = 'statement_id', hint = 'statements() lists them.';
    end if;
    select * into v_header from statements t where t.statement_id = id;
    if not found then
        raise exception using errcode = 'UM007', message = 'no such statement', column = 'statement_id', detail = format('statement_id %s.', id),
            hint = 'statements() lists them.';
    end if;
    perform _check_here(w.subject) from sealed_subjects w where w.subject_id = v_header.subject_id;
    return v_header;
end
$$;

comment on function _get_statement(bigint) is 'A statement. Raises 22004 for a null, UM007 for an unknown one.';
