create or replace function settle_late_usage(statement_id bigint, metric text, delta numeric, decision text, reason text default null)
returns late_settlement
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_header  statements;
    v_found   record;
    v_line    late_line;
    v_added   late_line;
    v_outcome text;
    v_subject text;
begin
    if _is_open('settle_late_usage') then perform _check_caller('settle_late_usage'); end if;
    perform _check_closing(), _get_metric(settle_late_usage.metric), _check_word('decision', settle_late_usage.decision, '{bill,waive}');
    if settle_late_usage.delta is null then
        raise exception using errcode = '22004', message = 'delta is null', column = 'delta',
            hint = 'Give the delta that late_usage() shows: so nothing is decided that you have not seen.';
    elsif settle_late_usage.delta in ('NaN', 'Infinity', '-Infinity') then
        raise exception using errcode = '22023', message = 'delta is not finite', column = 'delta',
            hint = 'Give the delta that late_usage() shows.';
    end if;
    v_header := _get_statement(settle_late_usage.statement_id);
    v_subject := (select w.subject from sealed_subjects w where w.subject_id = v_header.subject_id);
    perform _lock_sealed(v_subject);
    if not exists (select from sealed_subjects w where w.subject_id = v_header.subject_id and w.subject = v_subject) then
        perform _raise_busy(format('statement %s, whose subject was erased meanwhile', v_header.statement_id));
    end if;
    select l as line, array(select d from _next_decisions(l, settle_late_usage.decision, settle_late_usage.reason) d) as decisions,
           case when settle_late_usage.decision = 'bill' then _with_amount(l) end as priced, _has_moved(l) as has_moved
    into v_found
    from _late_lines(array[settle_late_usage.statement_id], settle_late_usage.metric) l;
    v_line := v_found.line;
    v_outcome := case
        when v_line.delta = 0 and settle_late_usage.delta <> 0 and _is_decided(settle_late_usage.statement_id, settle_late_usage.metric)
            then 'duplicate'
        when v_line.delta is distinct from settle_late_usage.delta then 'conflict'
        else 'settled' end;
    if v_outcome = 'settled' and (v_line.delta <> 0 or v_found.has_moved) then
        perform _write_decisions(v_found.decisions);
        v_added := v_found.priced;
        select l.* into v_line from _late_lines(array[settle_late_usage.statement_id], settle_late_usage.metric) l;
    end if;
    return (settle_late_usage.statement_id, settle_late_usage.metric, v_outcome, coalesce(v_line.delta, 0), coalesce(v_line.billed, 0),
            coalesce(v_line.waived, 0), v_added.amount, v_added.currency)::late_settlement;
end
$$;

comment on function settle_late_usage(bigint, text, numeric, text, text) is
    'Decides about late usage of one line of a statement. delta: all that is open, as late_usage() shows it, also 0; if it has moved meanwhile, the '
    'outcome is conflict, nothing is decided, and the result has what is open now. decision: bill (a late line of the subject''s next statement) '
    'or waive (never billed). A negative delta first takes back what was waived on this line; only the rest is decided, bill being a credit then. '
    'Returns the outcome settled, duplicate (nothing is open any more) or conflict, and in amount what the decision adds to the next statement, as '
    'late_usage() shows it. Raises UM001 for an unknown metric, UM007 for an unknown '
    'statement, 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if the subject is being closed, '
    '40001 as usage() does, UM008 for a subject that is on another shard or being moved. Example: SELECT outcome FROM meter.statements(''acct_1'') '
    's, meter.settle_late_usage(s.statement_id, ''tokens'', 0, '
    '''waive'');';
