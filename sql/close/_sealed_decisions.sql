-- A statement with amounts holds the decisions that were made since the one before: so its hash covers them. Those that the closing itself made by
-- the setting are later than its watermark; the next statement has them once more.
create or replace function _sealed_decisions(header statements)
returns jsonb
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_before timestamptz := (
        select max(t.watermark) from statements t where t.subject_id = header.subject_id and t.statement_id < header.statement_id);
begin
    return (
        select coalesce(jsonb_agg(_sealed_decision(d.decided, header.statement_id) order by (d.decided).decision_id), '[]')
        from statements t
        cross join lateral (
            select d as decided
            from late_decisions d
            where d.statement_id = t.statement_id and (d.decided_at > v_before or d.decision = 'bill' and d.billed_on is null)
            offset 0
        ) d
        where t.subject_id = header.subject_id);
end
$$;

comment on function _sealed_decisions(statements) is 'The decisions about late usage that a new statement holds.';

create or replace function _sealed_decision(decision late_decisions, billed_on bigint)
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    select jsonb_build_object(
        'decision_id', decision.decision_id, 'statement_id', decision.statement_id,
        'billed_on', coalesce(decision.billed_on, case decision.decision when 'bill' then _sealed_decision.billed_on end),
        'decided_at', extract(epoch from decision.decided_at), 'metric', decision.metric, 'decision', decision.decision,
        'quantity', decision.quantity, 'logged', decision.logged, 'billed', decision.billed)
$$;

comment on function _sealed_decision(late_decisions, bigint) is
    'A decision as statements hold it, without who made it and why; billed_on: of one to bill that is on no statement yet.';

create or replace function _decision_problems(header statements, subject text)
returns setof statement_problem
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select (header).statement_id, _decision_problems.subject, 'late', null::integer, coalesce(p.entry ->> 'metric', (p.d).metric),
           p.entry::text, p.found::text
    from (
        select e.entry, f.d, case when f.decision_id is not null then _sealed_decision(f.d, null) end as found
        from jsonb_array_elements((header).basis -> 'decisions') e (entry)
        full join (
            select d.decision_id, d
            from late_decisions d
            where d.billed_on = (header).statement_id
            union
            select d.decision_id, d
            from jsonb_array_elements((header).basis -> 'decisions') e (entry)
            join late_decisions d on d.decision_id = (e.entry ->> 'decision_id')::bigint
        ) f on f.decision_id = (e.entry ->> 'decision_id')::bigint
    ) p
    where p.entry is distinct from p.found;
end
$$;

comment on function _decision_problems(statements, text) is
    'Where decisions differ from what a statement with amounts, whose hash fits, says of them.';

create or replace function _recomputed_late(header statements, subject text, known_at timestamptz)
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
begin
    return query select l.* from _late_of_statement(header, _recomputed_late.subject, _recomputed_late.known_at, '{}') l;
exception when data_exception or undefined_object or undefined_function then
    return;
end
$$;

comment on function _recomputed_late(statements, text, timestamptz) is
    'The late lines of _late_of_statement(); none if a decision was changed so that nothing can be computed with it.';
