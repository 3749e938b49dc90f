create or replace function project_invoice(
    subject text,
    now timestamptz default now()
)
returns setof invoice_projection
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_at    timestamptz := coalesce(project_invoice.now, now());
    v_scope invoice_scope;
    v_id    bigint;
begin
    if _is_open('project_invoice') then perform _check_caller('project_invoice'); end if;
    perform _check_name('subject', project_invoice.subject), _check_here(project_invoice.subject), _check_time('now', v_at);
    v_scope := _invoice_scope(project_invoice.subject, null, null, null, v_at, null);
    v_id := _statement_of(v_scope);
    if v_id is not null then
        return query
        select l.item, l.metric, l.kind, l.since, l.until, l.quantity, l.unit, l.amount, l.amount, l.amount, l.amount, l.currency,
               'stated', format('statement %s', v_id), l.explanation, l.plan, l.name
        from _stated_lines(v_id) l;
        return;
    end if;
    return query select p.* from _projected_lines(v_scope, v_at) p;
    perform _check_snapshot();
end
$$;

comment on function project_invoice(text, timestamptz) is
    'Returns what the invoice of the billing cycle that contains now will say at its end, line by line, and a line of kind total for each currency: '
    'what project_usage() says of every metric, rated as invoice() rates, with fees, minimums and late lines. so_far: the amounts if nothing '
    'more is used; low, expected, high: those at the low, expected and high usage of all metrics at once. They are null where the usage of a '
    'metric cannot be projected (method none, and reason), and so is the total: unknown, not low. Usage without a price has no amounts. A cycle '
    'that is closed has the lines of its statement (method stated). Nothing is stored. Raises 22004 or 22023 for a bad value, UM006, 40001 as '
    'invoice() does, UM008 for a subject that is on another shard or being moved. Example: SELECT item, kind, so_far, low, expected, high, '
    'currency, reason '
    'FROM meter.project_invoice(''acct_1'', now => ''2026-06-18'');';
