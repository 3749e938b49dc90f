-- The segments of a line within a subscription are slices of one quantity, unless a version lets the tiers restart. A sum that is negative counts as
-- 0, so that what follows is billed less.
create or replace function _usage_lines(scope invoice_scope, segments invoice_segment[])
returns setof invoice_line
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_one     record;
    v_usage   record;
    v_slice   record;
    v_earlier tstzmultirange;
    v_billed  numeric;
    v_after   numeric;
    v_weighed numeric;
    v_events  numeric;
    v_line    rated_line;
    v_result  invoice_line;
    v_count   bigint;
begin
    for v_one in
        select s.*, lead(s.since) over (partition by s.plan, s.item order by s.since) is null as is_last,
               lag(s.metric) over (partition by s.plan, s.item, s.subscribed_at order by s.since) as metric_before
        from _cut_segments(scope, segments) s
        where s.metric is not null
        order by s.plan, s.item, s.since
    loop
        if v_one.metric_before is distinct from v_one.metric or v_one.tiers_after_change = 'restart' then
            v_earlier := '{}';
            v_billed := 0;
            v_weighed := 0;
            v_events := 0;
        end if;
        v_usage := _segment_usage(scope, v_one.metric, v_one.since, v_one.until);
        v_weighed := v_weighed + v_usage.weighed;
        -- The quotient of the sum, not the sum of quotients: so the last one is rounded once.
        v_after := _portion(v_weighed, 1, v_usage.whole);
        v_slice := _rate_segment(v_one.price, scope, v_usage.series_metric, v_earlier, v_one.since, v_one.until, v_billed, v_after - v_billed,
                                 v_events, v_usage.event_count, v_one.is_last);
        v_count := v_usage.event_count;
        foreach v_line in array v_slice.lines loop
            v_result := (v_one.item, v_one.metric, _kind_of_line(v_line.tier, v_line.amount), v_one.since, v_one.until, v_line.quantity,
                case when v_line.quantity is not null and not v_slice.converts then (v_usage.series_metric).unit end, v_line.unit_amount,
                v_line.amount, null, v_one.currency, v_one.price_version, v_line.explanation || coalesce('; ' || v_usage.note, ''), v_one.plan,
                v_line.tier, v_line.flat_amount, v_count, v_one.name)::invoice_line;
            v_count := null;
            return next v_result;
        end loop;
        v_earlier := v_earlier + tstzmultirange(tstzrange(v_one.since, v_one.until));
        v_billed := v_after;
        v_events := v_events + v_usage.event_count;
    end loop;
end
$$;

comment on function _usage_lines(invoice_scope, invoice_segment[]) is
    'The lines of an invoice for usage that has a price, not rounded. Raises UM006 and 40001 as usage() does.';

create or replace function _cut_segments(scope invoice_scope, segments invoice_segment[])
returns setof invoice_segment
language sql
stable
set search_path from current
as $$
    select s.plan, s.item, s.subscribed_at, greatest(s.since, scope.since), least(s.until, scope.until), s.price_version, s.metric, s.name, s.price,
           s.currency, s.bill, s.prorate, s.tiers_after_change
    from unnest(segments) s
    where s.since < scope.until and s.until > scope.since
$$;

comment on function _cut_segments(invoice_scope, invoice_segment[]) is 'Those segments that have a part in the window, cut to it.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _kind_of_line(tier integer, amount numeric)
returns text
language sql
immutable parallel safe
as $$
    select case when tier is not null or amount is null then 'usage' when amount < 0 then 'discount' else 'true_up' end
$$;

comment on function _kind_of_line(integer, numeric) is 'The kind of the line of an invoice that a line of rate() becomes.';

create or replace function _segment_usage(
    scope invoice_scope, metric text, since timestamptz, until timestamptz, out series_metric metrics, out event_count bigint, out weighed numeric,
    out whole numeric, out note text
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_cycle invoice_cycle := scope.cycles[1];
    v_part  numeric;
begin
    series_metric := _get_metric(_segment_usage.metric);
    select u.event_count, u.quantity into event_count, weighed
    from _measured_usage(series_metric, scope.subject, _segment_usage.since, _segment_usage.until, scope.as_of) u;
    whole := 1;
    if series_metric.aggregate in ('sum', 'count') then
        return;
    end if;
    v_part := _local_seconds(v_cycle.timezone, _segment_usage.since, _segment_usage.until);
    whole := case
        when scope.is_cycle then _local_seconds(v_cycle.timezone, v_cycle.whole_since, v_cycle.whole_until)
        else _local_seconds(v_cycle.timezone, scope.since, scope.until) end;
    if v_part <> whole then
        note := format('%s %s for %s', series_metric.aggregate, trim_scale(weighed), _days_text(v_part, whole));
    end if;
    weighed := weighed * v_part;
end
$$;

comment on function _segment_usage(invoice_scope, text, timestamptz, timestamptz) is
    'What a subject used in a segment of the window: weighed / whole. A value that is no sum or count is weighed with the time of the segment; whole '
    'is that of the whole billing cycle, or, of a window that is no cycle, of the window. note says so where they differ.';
