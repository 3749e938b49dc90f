create or replace function _rate_segment(
    price jsonb, scope invoice_scope, series_metric metrics, earlier tstzmultirange, since timestamptz, until timestamptz, billed numeric,
    quantity numeric, billed_events numeric, event_count numeric, is_last boolean, out lines rated_line[], out converts boolean
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_price   compiled_price := _compile_price(_rate_segment.price);
    v_billed  numeric := greatest(_rate_segment.billed, 0);
    v_slice   numeric := greatest(_rate_segment.billed + _rate_segment.quantity, 0) - v_billed;
    v_before  numeric := greatest(_rate_segment.billed_events, 0);
    v_events  numeric := greatest(_rate_segment.billed_events + _rate_segment.event_count, 0) - v_before;
    v_entries jsonb;
begin
    converts := v_price.package_size is not null or v_price.divide_by is not null or exists (
        select from jsonb_array_elements(v_price.cells) c where c -> 'price' ?| '{package_size,convert}');
    if v_price.model = 'matrix' then
        v_entries := _combined_usage(scope, series_metric, _price_dimensions(_rate_segment.price), earlier, _rate_segment.since, _rate_segment.until);
        select coalesce(sum((e ->> 'quantity')::numeric), 0), coalesce(sum((e ->> 'billed')::numeric), 0) into v_slice, v_billed
        from jsonb_array_elements(v_entries) e;
        lines := _rate_matrix(v_price, v_slice, v_billed, is_last, v_events, v_entries, v_before);
    else
        lines := _rate_one(v_price, v_slice, v_billed, is_last, v_events, v_before);
    end if;
    if _rate_segment.billed + _rate_segment.quantity < 0 and v_price.cells is null and cardinality(lines) > 0 then
        lines[1].explanation := lines[1].explanation || format('; the usage is negative: %s',
            trim_scale(_rate_segment.billed + _rate_segment.quantity));
    end if;
end
$$;

comment on function _rate_segment(
    jsonb, invoice_scope, metrics, tstzmultirange, timestamptz, timestamptz, numeric, numeric, numeric, numeric, boolean) is
    'The lines of rate() for the usage of a segment. earlier: the times of the segments that billed and billed_events are of. is_last: no segment '
    'of the line follows. converts: the lines are not in the metric''s unit. Raises UM006 and 40001 as usage() does.';

create or replace function _price_dimensions(price jsonb)
returns text[]
language sql
immutable parallel safe
set search_path from current
as $$
    select array(select jsonb_array_elements_text(price -> 'dimensions'))
$$;

comment on function _price_dimensions(jsonb) is 'The metadata keys of a matrix.';

-- A void has the metadata of the row that it takes back, so both sum to nothing, and then the combination was not used. One whose sum is negative
-- counts as 0.
create or replace function _combined_usage(
    scope invoice_scope, series_metric metrics, dimensions text[], earlier tstzmultirange, since timestamptz, until timestamptz
)
returns jsonb
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_series  integer := _find_series(series_metric.key, scope.subject);
    v_since   timestamptz := least(lower(earlier), _combined_usage.since);
    v_entries jsonb;
begin
    select coalesce(jsonb_agg(jsonb_build_object(
        'when', g.conditions, 'quantity', greatest(g.billed + g.quantity, 0) - greatest(g.billed, 0), 'billed', greatest(g.billed, 0),
        'event_count', greatest(g.billed_events + g.events, 0) - greatest(g.billed_events, 0), 'billed_events', greatest(g.billed_events, 0))
        order by g.conditions::text collate "C"), '[]')
    into v_entries
    from (
        select e.conditions, coalesce(sum(e.quantity) filter (where not e.is_earlier), 0) as quantity,
               coalesce(sum(e.quantity) filter (where e.is_earlier), 0) as billed,
               coalesce(sum(e.counts) filter (where not e.is_earlier), 0) as events,
               coalesce(sum(e.counts) filter (where e.is_earlier), 0) as billed_events
        from (
            select (select coalesce(jsonb_object_agg(d, v.metadata ->> d) filter (where v.metadata ->> d is not null), '{}')
                    from unnest(dimensions) d) as conditions,
                   v.quantity, v.at < _combined_usage.since as is_earlier,
                   coalesce((select k.counts from event_kinds k where k.event_id = v.event_id), 1) as counts
            from events v
            where v.series_id = v_series and v.at >= v_since and v.at < _combined_usage.until and v.recorded_at <= scope.known_at
              and (v.at >= _combined_usage.since or earlier @> v.at)
        ) e
        group by 1
    ) g
    where g.quantity <> 0 or g.billed <> 0 or g.events <> 0 or g.billed_events <> 0;
    perform _check_edges(series_metric, v_series, (v_since, _combined_usage.until, _combined_usage.until, _combined_usage.until,
        _combined_usage.until, _combined_usage.until)::window_cut, 'A matrix needs the log. Use a window after the dropped months.');
    return v_entries;
end
$$;

comment on function _combined_usage(invoice_scope, metrics, text[], tstzmultirange, timestamptz, timestamptz) is
    'The usage of [since, until) for each combination of values of metadata, as rate() takes dimensions; billed: that of the earlier times. Raises '
    'UM006 and 40001 as _check_edges() does.';
