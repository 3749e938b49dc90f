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
    select l.line, l.kind, l.metric, l.quantity, l.unit, l.aggregate, l.event_count, l.since, l.until, l.late_of,
           l.item, l.unit_amount, l.exact_amount, l.amount, l.currency, l.price_version, l.explanation, l.plan, l.tier, l.flat_amount, l.name
    from statement_lines l
    where l.statement_id = statement.statement_id
    order by l.line;
end
$$;

comment on function statement(bigint) is
    'Returns the lines of a statement: those that invoice() had for the period when it was closed (of quantities only, if the subject had no '
    'prices), among them those of earlier periods that are billed with it (kind late, late_of says which statement). Raises UM007 for an unknown '
    'statement, 22004 for a null, UM008 for a subject that is on another shard or being moved. Example: SELECT l.line, l.kind, l.metric, '
    'l.quantity, l.amount, l.currency FROM meter.statements(''acct_1'') s, '
    'meter.statement(s.statement_id) l;';
