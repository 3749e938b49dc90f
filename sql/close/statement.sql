create or replace function statement(statement_id bigint)
returns setof statement_line
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('statement') then perform _check_caller('statement'); end if;
    perform _get_statement(statement.statement_id);
    return query
    select l.line, l.kind, l.metric, l.quantity, l.unit, l.aggregate, l.event_count, l.since, l.until, l.late_of
    from statement_lines l
    where l.statement_id = statement.statement_id
    order by l.line;
end
$$;

comment on function statement(bigint) is
    'Returns the lines of a statement: one for each metric (kind usage), then those of earlier periods that are billed with it (kind late). Raises '
    'UM007 for an unknown statement, 22004 for a null. '
    'Example: SELECT l.line, l.kind, l.metric, l.quantity FROM meter.statements(''acct_1'') s, meter.statement(s.statement_id) l;';
