-- Usage by the segments of a statement, of one metric. Segments are known by their positions; a metric that the statement does not have has one, 0.
create or replace function _decided_segments(header statements, metric text, decided jsonb)
returns segment_usage[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_basis invoice_basis := jsonb_populate_record(null::invoice_basis, (header).basis);
    v_usage segment_usage[];
begin
    if decided is not null then
        return array(select u from jsonb_populate_recordset(null::segment_usage, decided) u);
    end if;
    v_usage := array(
        select v_basis.usage[n]
        from generate_subscripts(v_basis.segments, 1) n
        where v_basis.segments[n].metric = _decided_segments.metric
        order by n);
    return case when v_usage = '{}' then array[(0, 0, 0, null)::segment_usage] else v_usage end;
end
$$;

comment on function _decided_segments(statements, text, jsonb) is
    'The usage of the segments of a metric, as a decision has it; before the first one (decided is null), what the statement says.';

create or replace function _logged_segments(header statements, subject text, metric text)
returns segment_usage[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_basis  invoice_basis := _statement_basis(header, _logged_segments.subject);
    v_stored integer := jsonb_array_length((header).basis -> 'segments');
begin
    return array(
        select (case when u.segment <= v_stored then u.segment else 0 end, u.event_count, u.quantity, u.combinations)::segment_usage
        from _segments_usage(v_basis, '{}', null, _logged_segments.metric) u);
exception when sqlstate 'UM006' then
    return null;
end
$$;

comment on function _logged_segments(statements, text, text) is
    'What the log says now of the segments of a metric of a statement; null if retention has dropped what they need.';

create or replace function _added_usage(billed segment_usage[], logged segment_usage[], logged_before segment_usage[])
returns segment_usage[]
language sql
immutable parallel safe
set search_path from current
as $$
    select array_agg((b.segment, b.event_count + l.event_count - p.event_count, b.quantity + l.quantity - p.quantity,
                      _added_combinations(b.combinations, l.combinations, p.combinations))::segment_usage order by b.segment)
    from unnest(billed) b
    join unnest(logged) l on l.segment = b.segment
    join unnest(logged_before) p on p.segment = b.segment
$$;

comment on function _added_usage(segment_usage[], segment_usage[], segment_usage[]) is 'billed + logged - logged_before, segment by segment.';

-- Segments that added does not have stay as they are.
create or replace function _with_added(usage segment_usage[], added segment_usage[])
returns segment_usage[]
language sql
immutable parallel safe
set search_path from current
as $$
    select case when _with_added.added is null then _with_added.usage else (
        select array_agg((u.segment, u.event_count + coalesce(a.event_count, 0), u.quantity + coalesce(a.quantity, 0),
                          _added_combinations(u.combinations, a.combinations, null))::segment_usage order by u.segment)
        from unnest(_with_added.usage) u
        left join unnest(_with_added.added) a on a.segment = u.segment) end
$$;

comment on function _with_added(segment_usage[], segment_usage[]) is 'usage + added, segment by segment; null if usage is.';

create or replace function _added_combinations(billed jsonb, logged jsonb, logged_before jsonb)
returns jsonb
language sql
immutable parallel safe
set search_path from current
as $$
    select case when _added_combinations.billed is not null then coalesce(jsonb_agg(jsonb_build_object(
        'when', c.conditions, 'quantity', c.quantity, 'billed', c.billed, 'event_count', c.event_count, 'billed_events', c.billed_events)
        order by c.conditions::text collate "C"), '[]') end
    from (
        select e.entry -> 'when' as conditions, sum(e.sign * (e.entry ->> 'quantity')::numeric) as quantity,
               sum(e.sign * (e.entry ->> 'billed')::numeric) as billed, sum(e.sign * (e.entry ->> 'event_count')::numeric) as event_count,
               sum(e.sign * (e.entry ->> 'billed_events')::numeric) as billed_events
        from (
            select 1 as sign, jsonb_array_elements(_added_combinations.billed) as entry
            union all
            select 1, jsonb_array_elements(logged)
            union all
            select -1, jsonb_array_elements(logged_before)
        ) e
        group by 1
    ) c
$$;

comment on function _added_combinations(jsonb, jsonb, jsonb) is 'The same for the usage of combinations; null if there are none.';
