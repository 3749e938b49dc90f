create or replace function _priced_statement(header statements, subject text, usage metric_usage[])
returns new_statement
language plpgsql
volatile
set search_path from current
set plan_cache_mode to force_generic_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_scope invoice_scope := _invoice_scope(_priced_statement.subject, (header).since, (header).until, null, null, null);
    v_basis invoice_basis;
    v_late  invoice_line[];
    v_lines invoice_line[];
    v_new   new_statement;
begin
    v_scope.part_starts := (header).part_starts;
    v_scope.part_weights := (header).part_weights;
    v_scope.cycle_weight := (header).cycle_weight;
    v_basis := _invoice_basis(v_scope);
    v_basis.usage := array(select u from _segments_usage(v_basis, _priced_statement.usage, null) u);
    v_late := array(select l from _late_invoice_lines(v_scope, false) l);
    v_basis := _with_payments(v_basis, v_late);
    v_new.header := header;
    v_new.header.usage := (
        select coalesce(jsonb_object_agg(u.metric, jsonb_build_object('event_count', u.event_count, 'quantity', trim_scale(u.quantity)::text)), '{}')
        from unnest(_priced_statement.usage) u);
    v_new.header.basis := _without_subject(v_basis) || jsonb_build_object('decisions', _sealed_decisions(header));
    v_lines := array(select l from _priced_lines(v_basis, v_late, null) l);
    v_new.lines := array(
        select ((header).statement_id, l.late_of, l.event_count, l.since, l.until, n, l.kind, l.metric, m.aggregate, l.unit, l.quantity,
                l.price_version, l.tier, l.plan, l.item, l.name, l.currency, l.unit_amount, l.flat_amount, l.exact_amount, l.amount,
                l.explanation)::statement_lines
        from unnest(v_lines) with ordinality l (item, metric, kind, since, until, quantity, unit, unit_amount, exact_amount, amount, currency,
            price_version, explanation, plan, tier, flat_amount, event_count, name, late_of, n)
        left join metrics m on m.key = l.metric
        order by n);
    return v_new;
end
$$;

comment on function _priced_statement(statements, text, metric_usage[]) is
    'A statement with amounts: the lines of invoice(), and what they are computed from. usage: what the buckets hold of each metric.';

create or replace function _without_subject(basis invoice_basis)
returns jsonb
language sql
stable
set search_path from current
as $$
    select jsonb_set(to_jsonb(basis), '{scope,subject}', 'null')
$$;

comment on function _without_subject(invoice_basis) is
    'What an invoice was computed from, as a statement keeps it: nothing there may name the subject, or erasing it would change the statement.';
