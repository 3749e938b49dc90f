-- Late lines are on the statement that is made next, whatever its period: so an invoice shows them if it could be that one.
create or replace function _late_invoice_lines(scope invoice_scope, predicts boolean)
returns setof invoice_line
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_sealed    sealed_subjects := (select w from sealed_subjects w where w.subject = scope.subject);
    v_header    statements;
    v_predicted late_decisions[];
begin
    if coalesce(v_sealed.statements, 0) = 0 or exists (
        select from statements t
        where t.subject_id = v_sealed.subject_id and t.until > scope.since and t.since < scope.until and t.watermark < scope.known_at)
    then
        return;
    end if;
    if predicts then
        v_predicted := _predicted_decisions(scope, v_sealed);
    end if;
    for v_header in
        select t.*
        from statements t
        where t.subject_id = v_sealed.subject_id and t.watermark < scope.known_at
          and (exists (select from unnest(v_predicted) p where p.statement_id = t.statement_id)
               or exists (select from _unbilled_decisions(t.statement_id, scope.known_at)))
        order by t.statement_id
    loop
        return query
        select *
        from _late_of_statement(v_header, scope.subject, scope.known_at, array(
            select p from unnest(v_predicted) p where p.statement_id = v_header.statement_id));
    end loop;
end
$$;

comment on function _late_invoice_lines(invoice_scope, boolean) is
    'The late lines of an invoice, not rounded: those that wait for the subject''s next statement, and (predicts) what the setting late_usage '
    'will bill with it; as of a watermark, those of the statement that was made then.';

create or replace function _predicted_decisions(scope invoice_scope, sealed sealed_subjects)
returns late_decisions[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_decision text := _setting_value('late_usage');
begin
    if scope.as_of is not null or v_decision = 'ask' then
        return '{}';
    end if;
    return array(
        select d
        from _late_lines(array(select t.statement_id from statements t where t.subject_id = (sealed).subject_id order by 1), null) l
        cross join lateral _next_decisions(l, v_decision, null) d
        where l.delta <> 0 or _has_moved(l));
end
$$;

comment on function _predicted_decisions(invoice_scope, sealed_subjects) is
    'What the setting late_usage will decide when the subject''s next period is closed; nothing as of a watermark.';

create or replace function _unbilled_decisions(id bigint, known_at timestamptz)
returns setof late_decisions
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select d.*
    from _known_decisions(id, _unbilled_decisions.known_at) d
    left join statements t on t.statement_id = d.billed_on
    where d.decision = 'bill' and (d.billed_on is null or t.watermark >= _unbilled_decisions.known_at);
end
$$;

comment on function _unbilled_decisions(bigint, timestamptz) is
    'The decisions to bill late usage of a statement that no earlier statement has billed, as of a time.';

create or replace function _late_quantities(header statements, known_at timestamptz, are_billed boolean default false)
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select null::text, m.key, 'late', (header).since, (header).until, d.quantity, m.unit, null::numeric, null::numeric, null::numeric, null::text,
           null::bigint, case when (header).basis is null then 'the statement has no prices'
                              else 'without an amount: the log that it is priced by was dropped' end,
           null::text, null::integer, null::numeric, 0::bigint, null::text, (header).statement_id
    from (
        select d.metric, trim_scale(sum(d.quantity)) as quantity
        from (
            select u.metric, u.quantity, u.billed
            from _unbilled_decisions((header).statement_id, _late_quantities.known_at) u
            where not are_billed
            union all
            select d.metric, d.quantity, d.billed
            from late_decisions d
            join statements t on t.statement_id = d.billed_on
            where are_billed and d.statement_id = (header).statement_id and t.watermark < _late_quantities.known_at
        ) d
        where d.billed is null
        group by 1
    ) d
    join metrics m on m.key = d.metric
    where d.quantity <> 0
    order by m.key;
end
$$;

comment on function _late_quantities(statements, timestamptz, boolean) is
    'The late lines of a statement''s period that have a quantity only: it was made without prices, or what they need of the log was dropped. '
    'are_billed: those that earlier statements have, else those that none has.';
