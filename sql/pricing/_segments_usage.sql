-- known: what is known already of whole metrics, so that nobody asks twice.
create or replace function _segments_usage(
    basis invoice_basis, known metric_usage[], as_of timestamptz, only_metric text default null
)
returns setof segment_usage
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_scope    invoice_scope := basis.scope;
    v_segment  record;
    v_metric   metrics;
    v_result   segment_usage;
    v_is_whole boolean;
begin
    for v_segment in
        select s.*, n, k.metric as known_metric, k.event_count, k.quantity, s.price ->> 'model' = 'matrix' as is_matrix
        from unnest(basis.segments) with ordinality s (plan, item, subscribed_at, since, until, price_version, metric, name, price, currency, bill,
            prorate, tiers_after_change, n)
        left join unnest(known) k on k.metric = s.metric
        where only_metric is null or s.metric = only_metric
        order by n
    loop
        v_metric := (select m from metrics m where m.key = v_segment.metric);
        v_is_whole := v_segment.since = v_scope.since and v_segment.until = v_scope.until;
        v_result := (v_segment.n, null, null, null);
        if v_is_whole and v_segment.known_metric is not null
            and (v_segment.item is null or v_scope.part_starts is null or v_metric.aggregate in ('sum', 'count'))
        then
            v_result.event_count := v_segment.event_count;
            v_result.quantity := v_segment.quantity;
        elsif v_is_whole and v_segment.item is null then
            select u.event_count, u.quantity into v_result.event_count, v_result.quantity from _stated_usage(v_metric, v_scope, as_of) u;
        else
            select u.event_count, u.quantity into v_result.event_count, v_result.quantity
            from _measured_usage(v_metric, v_scope.subject, v_segment.since, v_segment.until, as_of) u;
        end if;
        if v_segment.is_matrix then
            v_result.combinations := _combined_usage(
                v_scope.subject, v_metric, _price_dimensions(v_segment.price), _earlier_times(basis.segments, v_segment.n::integer),
                v_segment.since, v_segment.until, as_of);
        end if;
        return next v_result;
    end loop;
end
$$;

comment on function _segments_usage(invoice_basis, metric_usage[], timestamptz, text) is
    'The usage of each segment of an invoice, of all metrics or of one: now, or as of a watermark. A metric without any price has one quantity, as '
    'statements state it. Raises UM006 and 40001 as usage() does.';

-- As in _usage_lines(): a metric that changes, or a version that says so, starts anew.
create or replace function _earlier_times(segments invoice_segment[], segment integer)
returns tstzmultirange
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_times tstzmultirange := '{}';
    v_n     integer := segment;
begin
    while not _starts_anew(segments[v_n - 1], segments[v_n]) loop
        v_n := v_n - 1;
        v_times := v_times + tstzmultirange(tstzrange((segments[v_n]).since, (segments[v_n]).until));
    end loop;
    return v_times;
end
$$;

comment on function _earlier_times(invoice_segment[], integer) is
    'The times of the segments before one whose quantity counts in its tiers.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _starts_anew(before invoice_segment, segment invoice_segment)
returns boolean
language sql
immutable parallel safe
as $$
    select (before.plan, before.item, before.subscribed_at, before.metric) is distinct from (segment.plan, segment.item, segment.subscribed_at,
        segment.metric) or segment.tiers_after_change = 'restart'
$$;

comment on function _starts_anew(invoice_segment, invoice_segment) is
    'Whether the tiers of a segment do not go on counting from the one before it.';

create or replace function _price_dimensions(price jsonb)
returns text[]
language sql
immutable parallel safe
set search_path from current
as $$
    select array(select jsonb_array_elements_text(price -> 'dimensions'))
$$;

comment on function _price_dimensions(jsonb) is 'The metadata keys of a matrix.';
