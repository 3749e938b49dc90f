-- The segments of a line within a subscription are slices of one quantity, unless a version lets the tiers restart. A sum that is negative counts as
-- 0, so that what follows is billed less. What is due without any usage is due if the whole cycle has none, and then once.
create or replace function _usage_lines(basis invoice_basis, defined metrics[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope   invoice_scope := basis.scope;
    v_before  invoice_segment;
    v_segment invoice_segment;
    v_usage   segment_usage;
    v_metric  metrics;
    v_part    numeric;
    v_whole   numeric;
    v_note    text;
    v_next    invoice_segment;
    v_billed  numeric;
    v_after   numeric;
    v_weighed numeric;
    v_events  bigint;
    v_is_used boolean;
begin
    for v_n in 1 .. cardinality(basis.segments) loop
        v_segment := basis.segments[v_n];
        v_next := basis.segments[v_n + 1];
        v_usage := basis.usage[v_n];
        v_metric := case when defined is null then (select m from metrics m where m.key = v_segment.metric)
                         else (select d from unnest(defined) d where d.key = v_segment.metric) end;
        if v_segment.item is null then
            return query select * from _unpriced_line(
                v_scope, v_metric, v_segment, v_usage.event_count, v_usage.quantity, cardinality(basis.currencies) > 0);
            continue;
        end if;
        v_part := v_usage.quantity;
        v_whole := 1;
        v_note := null;
        if v_metric.aggregate not in ('sum', 'count') then
            select s.* into v_part, v_whole, v_note from _share_of_segment(v_scope, v_metric, v_segment, v_part) s;
        end if;
        if (v_before.plan, v_before.item) is distinct from (v_segment.plan, v_segment.item) then
            v_is_used := false;
        elsif _starts_anew(v_before, v_segment) then
            v_is_used := v_is_used or v_billed > 0;
        end if;
        if v_n = 1 or _starts_anew(v_before, v_segment) then
            v_billed := 0;
            v_weighed := 0;
            v_events := 0;
        end if;
        v_weighed := v_weighed + v_part;
        -- The quotient of the sum, not the sum of quotients: so the last one is rounded once.
        v_after := case when v_whole = 1 then v_weighed else _portion(v_weighed, 1, v_whole) end;
        return query
        select *
        from _segment_lines(v_segment, v_metric, v_billed, v_after - v_billed, v_events, v_usage.event_count, v_usage.combinations,
            (v_next.plan, v_next.item) is distinct from (v_segment.plan, v_segment.item) and not v_is_used, v_note);
        v_before := v_segment;
        v_billed := v_after;
        v_events := v_events + v_usage.event_count;
    end loop;
end
$$;

comment on function _usage_lines(invoice_basis, metrics[]) is
    'The lines of an invoice for usage, not rounded: those of each segment with a price, then usage without one, which has no amount. '
    'defined: as in _priced_lines().';

create or replace function _share_of_segment(
    scope invoice_scope, metric metrics, segment invoice_segment, quantity numeric, out weighed numeric, out whole numeric, out note text
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_cycle invoice_cycle;
    v_part  numeric;
begin
    weighed := quantity;
    whole := 1;
    if (scope.since, scope.until) = (segment.since, segment.until) and scope.cycle_weight is null then
        return;
    end if;
    v_cycle := scope.cycles[1];
    v_part := _local_seconds(v_cycle.timezone, segment.since, segment.until);
    whole := case
        when scope.is_cycle then _local_seconds(v_cycle.timezone, v_cycle.whole_since, v_cycle.whole_until)
        else _local_seconds(v_cycle.timezone, scope.since, scope.until) end;
    if v_part <> whole then
        note := format('%s, for %s', _value_text((metric).aggregate, quantity), _days_text(v_part, whole));
    end if;
    weighed := quantity * v_part;
end
$$;

comment on function _share_of_segment(invoice_scope, metrics, invoice_segment, numeric) is
    'What a segment has of a value that is no sum or count: weighed / whole. It is weighed with the time of the segment; whole is that of the whole '
    'billing cycle, or, of a window that is no cycle, of the window. note says so where they differ.';

create or replace function _unpriced_line(
    scope invoice_scope, metric metrics, segment invoice_segment, event_count bigint, quantity numeric, is_priced boolean
)
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_is_whole boolean := (segment.since, segment.until) = (scope.since, scope.until);
begin
    if _unpriced_line.event_count <> 0 or _unpriced_line.quantity <> 0
        or v_is_whole and not is_priced and ((metric).retired_at is null or (metric).retired_at > scope.known_at)
    then
        return next (
            null, (metric).key, 'usage', segment.since, segment.until, _unpriced_line.quantity, (metric).unit, null, null, null, null, null,
            case when v_is_whole then 'no plan of the subject has a price for this metric'
                 else 'no plan of the subject has a price for this metric at this time' end,
            null, null, null, _unpriced_line.event_count, null, null)::invoice_line;
    end if;
end
$$;

comment on function _unpriced_line(invoice_scope, metrics, invoice_segment, bigint, numeric, boolean) is
    'The line for usage that no plan of the subject has a price for: what was measured, without amounts. Zero usage has one only if the subject''s '
    'plans have no prices at all (is_priced is false), and the metric is in use.';
