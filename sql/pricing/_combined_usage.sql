-- A void has the metadata of the row that it takes back, so both sum to nothing, and then the combination was not used.
create or replace function _combined_usage(
    subject text, series_metric metrics, dimensions text[], earlier tstzmultirange, since timestamptz, until timestamptz, as_of timestamptz
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
    v_series  integer := _find_series(series_metric.key, _combined_usage.subject);
    v_since   timestamptz := least(lower(earlier), _combined_usage.since);
    v_entries jsonb;
begin
    select coalesce(jsonb_agg(jsonb_build_object(
        'when', g.conditions, 'quantity', g.quantity, 'billed', g.billed, 'event_count', g.events, 'billed_events', g.billed_events)
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
            where v.series_id = v_series and v.at >= v_since and v.at < _combined_usage.until
              and v.recorded_at <= coalesce(_combined_usage.as_of, 'infinity')
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

comment on function _combined_usage(text, metrics, text[], tstzmultirange, timestamptz, timestamptz, timestamptz) is
    'The usage of [since, until) for each combination of values of metadata: an array of objects with when, quantity, event_count, and billed and '
    'billed_events, those of the earlier times. as_of null: now. Raises UM006 and 40001 as _check_edges() does.';

-- A combination whose sum is negative counts as 0, so that what follows is billed less.
create or replace function _rated_combinations(combinations jsonb)
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'when', c.conditions, 'billed', greatest(c.billed, 0), 'quantity', greatest(c.billed + c.quantity, 0) - greatest(c.billed, 0),
        'billed_events', greatest(c.billed_events, 0),
        'event_count', greatest(c.billed_events + c.event_count, 0) - greatest(c.billed_events, 0))
        order by c.conditions::text collate "C"), '[]')
    from (
        select e -> 'when' as conditions, (e ->> 'quantity')::numeric as quantity, (e ->> 'billed')::numeric as billed,
               (e ->> 'event_count')::numeric as event_count, (e ->> 'billed_events')::numeric as billed_events
        from jsonb_array_elements(combinations) e
    ) c
    where c.quantity <> 0 or c.billed <> 0 or c.event_count <> 0 or c.billed_events <> 0
$$;

comment on function _rated_combinations(jsonb) is 'The usage of combinations as rate() takes dimensions.';
