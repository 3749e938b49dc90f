create or replace function _segment_lines(
    segment invoice_segment, metric metrics, billed numeric, quantity numeric, billed_events bigint, event_count bigint, combinations jsonb,
    is_last boolean, note text
)
returns setof invoice_line
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_price compiled_price := _compile_price(segment.price);
    v_unit  text := case when not _converts(v_price) then (metric).unit end;
    v_count bigint := _segment_lines.event_count;
    v_line  rated_line;
begin
    foreach v_line in array _rate_segment(v_price, _segment_lines.billed, _segment_lines.quantity, _segment_lines.billed_events,
                                          _segment_lines.event_count, _segment_lines.combinations, is_last) loop
        return next (
            segment.item, segment.metric, _kind_of_line(v_line), segment.since, segment.until, v_line.quantity,
            case when v_line.quantity is not null then v_unit end, v_line.unit_amount, v_line.amount, null, segment.currency,
            segment.price_version, v_line.explanation || coalesce('; ' || note, ''), segment.plan, v_line.tier, v_line.flat_amount, v_count,
            segment.name, null)::invoice_line;
        v_count := null;
    end loop;
end
$$;

comment on function _segment_lines(invoice_segment, metrics, numeric, numeric, bigint, bigint, jsonb, boolean, text) is
    'The lines of an invoice for the usage of a segment with a price, not rounded. billed and billed_events: of the segments before that its tiers '
    'go on counting from. is_last: no segment of the line follows.';

create or replace function _rate_segment(
    price compiled_price, billed numeric, quantity numeric, billed_events bigint, event_count bigint, combinations jsonb, is_last boolean
)
returns rated_line[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_billed  numeric := greatest(_rate_segment.billed, 0);
    v_slice   numeric := greatest(_rate_segment.billed + _rate_segment.quantity, 0) - v_billed;
    v_before  numeric := greatest(_rate_segment.billed_events, 0);
    v_events  numeric := greatest(_rate_segment.billed_events + _rate_segment.event_count, 0) - v_before;
    v_entries jsonb;
    v_lines   rated_line[];
begin
    if price.cells is not null then
        v_entries := _rated_combinations(_rate_segment.combinations);
        select coalesce(sum((e ->> 'quantity')::numeric), 0), coalesce(sum((e ->> 'billed')::numeric), 0) into v_slice, v_billed
        from jsonb_array_elements(v_entries) e;
        return _note_negative(price, _rate_segment.combinations,
                              _rate_matrix(price, v_slice, v_billed, is_last, v_events, v_entries, v_before));
    end if;
    v_lines := _rate_one(price, v_slice, v_billed, is_last, v_events, v_before);
    if _rate_segment.billed + _rate_segment.quantity < 0 and cardinality(v_lines) > 0 then
        v_lines[1].explanation := v_lines[1].explanation || format('; the usage is negative: %s',
            trim_scale(_rate_segment.billed + _rate_segment.quantity));
    end if;
    return v_lines;
end
$$;

comment on function _rate_segment(compiled_price, numeric, numeric, bigint, bigint, jsonb, boolean) is
    'The lines of rate() for the usage of a segment. A usage that is negative counts as 0.';

-- Inlined: no SET, nothing outside pg_catalog. By what the line is, not by its sign: a discount may be taken back.
create or replace function _kind_of_line(line rated_line)
returns text
language sql
immutable parallel safe
as $$
    select case when line.tier is not null or line.amount is null then 'usage' when line.explanation like 'minimum%' then 'true_up'
                else 'discount' end
$$;

comment on function _kind_of_line(rated_line) is
    'The kind of the line of an invoice that a line of rate() becomes: a discount or a maximum is a discount, a minimum a true_up.';

create or replace function _converts(price compiled_price)
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select price.package_size is not null or price.divide_by is not null or exists (
        select from jsonb_array_elements(price.cells) c where c -> 'price' ?| '{package_size,convert}')
$$;

comment on function _converts(compiled_price) is 'Whether the lines of a price have another unit than the metric.';
