-- The one computation of what is billed: previews, documents and whatever else states an amount call it. Planning would take longer than all else.
create or replace function _invoice_lines(scope invoice_scope)
returns setof invoice_line
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_generic_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_segments invoice_segment[] := array(select s from _invoice_segments(scope) s);
    v_lines    invoice_line[] := array(select l from _usage_lines(scope, v_segments) l) || array(select l from _fee_lines(scope, v_segments) l);
begin
    v_lines := v_lines || array(select l from _minimum_lines(scope, v_lines) l) || array(select l from _unpriced_lines(scope, v_segments) l);
    v_lines := array(select l from _rounded_lines(v_lines, _setting_value('rounding') = 'line') l);
    return query select l.* from unnest(v_lines) l;
    return query select l.* from _total_lines(scope, v_lines) l;
    perform _check_snapshot();
end
$$;

comment on function _invoice_lines(invoice_scope) is
    'The lines of an invoice: those of each plan by item and time, its minimum, usage without a price, and the totals. Raises as invoice() does.';
