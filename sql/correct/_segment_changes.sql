-- Sums and counts change by what is written. Of other values only the row of the whole period says how they change, so a segment has to be that.
create or replace function _segment_changes(segments invoice_segment[], piece effect_piece)
returns segment_usage[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := (select m from metrics m where m.key = piece.metric);
    v_is_sum  boolean := v_metric.aggregate in ('sum', 'count');
    v_segment invoice_segment;
    v_events  bigint;
    v_sum     numeric;
    v_entries jsonb;
    v_is_seen boolean := false;
    v_changes segment_usage[] := '{}';
begin
    for v_n in 1 .. cardinality(segments) loop
        v_segment := segments[v_n];
        continue when v_segment.metric <> piece.metric;
        select coalesce(sum(s.counts), 0), coalesce(sum(s.quantity), 0), v_is_seen or count(*) > 0 into v_events, v_sum, v_is_seen
        from unnest(piece.steps) s
        where s.at >= v_segment.since and s.at < v_segment.until;
        if not v_is_sum then
            continue when v_segment.since >= piece.until or v_segment.until <= piece.since;
            if v_metric.carry or (v_segment.since, v_segment.until) <> (piece.since, piece.until) then
                return null;
            end if;
            v_sum := piece.after - piece.before;
        end if;
        v_entries := case when v_segment.price ->> 'model' = 'matrix' then _combined_steps(
            piece.steps, _price_dimensions(v_segment.price), _earlier_times(segments, v_n), v_segment.since, v_segment.until) end;
        v_changes := v_changes || (v_n, v_events, v_sum, v_entries)::segment_usage;
    end loop;
    return case when v_is_seen then v_changes end;
end
$$;

comment on function _segment_changes(invoice_segment[], effect_piece) is
    'What a piece of a correction adds to the usage of each segment of its metric; null if that is unknown, or no segment has any of it.';

create or replace function _combined_steps(
    steps correction_step[], dimensions text[], earlier tstzmultirange, since timestamptz, until timestamptz
)
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'when', g.conditions, 'quantity', g.quantity, 'billed', g.billed, 'event_count', g.events, 'billed_events', g.billed_events)), '[]')
    from (
        select e.conditions, coalesce(sum(e.quantity) filter (where not e.is_earlier), 0) as quantity,
               coalesce(sum(e.quantity) filter (where e.is_earlier), 0) as billed,
               coalesce(sum(e.counts) filter (where not e.is_earlier), 0) as events,
               coalesce(sum(e.counts) filter (where e.is_earlier), 0) as billed_events
        from (
            select (select coalesce(jsonb_object_agg(d, s.metadata ->> d) filter (where s.metadata ->> d is not null), '{}')
                    from unnest(dimensions) d) as conditions,
                   s.quantity, s.counts, s.at < _combined_steps.since as is_earlier
            from unnest(steps) s
            where s.at < _combined_steps.until and (s.at >= _combined_steps.since or earlier @> s.at)
        ) e
        group by 1
    ) g
$$;

comment on function _combined_steps(correction_step[], text[], tstzmultirange, timestamptz, timestamptz) is
    'What rows that a correction writes add to each combination of values of metadata, as _combined_usage() has them.';
