-- The one computation of what is billed: previews, documents, statements, late usage and simulations call it. Planning would take longer than all
-- else.
create or replace function _priced_lines(basis invoice_basis, late invoice_line[], defined metrics[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_generic_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_lines invoice_line[] := array(select l from _usage_lines(basis, defined) l) || basis.fees;
begin
    v_lines := v_lines || array(select l from _minimum_lines(basis, v_lines) l) || late;
    v_lines := array(select l from _rounded_lines(v_lines, basis.by_line) l);
    v_lines := v_lines || array(select l from _credit_lines(basis, v_lines) l);
    v_lines := v_lines || array(select l from _tax_lines(basis, v_lines) l);
    return query select l.* from unnest(v_lines) l;
    return query select l.* from _total_lines(basis, v_lines) l;
end
$$;

comment on function _priced_lines(invoice_basis, invoice_line[], metrics[]) is
    'The lines of an invoice: those of each plan by item and time, its minimum, usage without a price, late lines, credits, taxes, and the totals. '
    'defined: the metrics; null: those of the catalog.';

-- What a statement holds is final: so is its invoice.
create or replace function _invoice_lines(scope invoice_scope)
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_id    bigint := _statement_of(scope);
    v_scope invoice_scope := scope;
    v_late  invoice_line[];
    v_basis invoice_basis;
begin
    if v_id is not null then
        return query select l.* from _stated_lines(v_id) l;
    else
        select p.* into v_scope.part_starts, v_scope.part_weights, v_scope.cycle_weight
        from _cycle_parts(v_scope.subject, v_scope.since, v_scope.until, v_scope.known_at) p;
        v_basis := _invoice_basis(v_scope);
        v_basis.usage := array(select u from _segments_usage(v_basis, '{}', v_scope.as_of) u);
        v_late := array(select l from _late_invoice_lines(v_scope, true) l);
        return query select l.* from _priced_lines(_with_payments(v_basis, v_late), v_late, null) l;
    end if;
    perform _check_snapshot();
end
$$;

comment on function _invoice_lines(invoice_scope) is
    'The lines of an invoice: of a period that was closed before as_of, those of its statement. Raises as invoice() does.';

create or replace function _statement_of(scope invoice_scope)
returns bigint
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select t.statement_id
        from sealed_subjects w
        cross join lateral (
            select t.statement_id
            from statements t
            where t.subject_id = w.subject_id and t.until = scope.until and t.since = scope.since and t.watermark < scope.known_at
            offset 0
        ) t
        where w.subject = scope.subject);
end
$$;

comment on function _statement_of(invoice_scope) is 'The statement that holds just the window, and was made before as_of; null without one.';

create or replace function _stated_lines(id bigint)
returns setof invoice_line
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select v.* from statement_lines l cross join lateral _as_invoice_line(l) v where l.statement_id = id order by l.line;
end
$$;

comment on function _stated_lines(bigint) is 'The lines of a statement as those of an invoice.';

-- Statements of subjects without prices have no explanations.
create or replace function _as_invoice_line(line statement_lines)
returns invoice_line
language sql
immutable parallel safe
set search_path from current
as $$
    select row(line.item, line.metric, line.kind, line.since, line.until, line.quantity, line.unit, line.unit_amount, line.exact_amount, line.amount,
               line.currency, line.price_version,
               coalesce(line.explanation, case line.kind when 'late' then 'the statement has no prices'
                                                         else 'no plan of the subject has a price for this metric' end),
               line.plan, line.tier, line.flat_amount, line.event_count, line.name, line.late_of)::invoice_line
$$;

comment on function _as_invoice_line(statement_lines) is 'A line of a statement as one of an invoice.';
