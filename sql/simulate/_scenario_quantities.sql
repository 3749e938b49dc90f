-- A sum or a count may be given in parts; another value is that of just the time of a segment.
create or replace function _scenario_quantities(entries jsonb, segments invoice_segment[], metrics metrics[])
returns setof segment_usage
language plpgsql
stable
set search_path from current
set enable_nestloop to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_result segment_usage;
begin
    for v_result in
        select s.n::integer, case when count(u.metric) = count(u.events) then coalesce(sum(u.events), 0) end, coalesce(sum(u.quantity), 0),
               null::jsonb
        from unnest(segments) with ordinality s (plan, item, subscribed_at, since, until, price_version, metric, name, price, currency, bill,
            prorate, tiers_after_change, n)
        left join (
            select e.metric, e.item, e.quantity, coalesce(e.event_count, case when m.aggregate = 'count' then e.quantity end) as events, e.since,
                   e.until, m.aggregate in ('sum', 'count') as adds_up
            from jsonb_to_recordset(entries) e (
                metric text, item text, quantity numeric, event_count numeric, since timestamptz, until timestamptz)
            join unnest(metrics) m on m.key = e.metric
        ) u on u.metric = s.metric and (u.item is null or u.item = s.item)
           and case when u.adds_up then u.since >= s.since and u.until <= s.until else (u.since, u.until) = (s.since, s.until) end
        group by s.n
        order by s.n
    loop
        if segments[v_result.segment].price ->> 'model' = 'matrix' then
            v_result.combinations := _scenario_combinations(
                entries, segments[v_result.segment], _earlier_times(segments, v_result.segment));
        end if;
        return next v_result;
    end loop;
end
$$;

comment on function _scenario_quantities(jsonb, invoice_segment[], metrics[]) is
    'The usage of each segment of a scenario: what _segments_usage() reads of a subject.';

create or replace function _scenario_combinations(entries jsonb, segment invoice_segment, earlier tstzmultirange)
returns jsonb
language sql
stable
set search_path from current
as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'when', g.conditions, 'quantity', g.quantity, 'billed', g.billed, 'event_count', g.events, 'billed_events', g.billed_events)
        order by g.conditions::text collate "C"), '[]')
    from (
        select c.conditions, coalesce(sum(e.quantity) filter (where not e.is_earlier), 0) as quantity,
               coalesce(sum(e.quantity) filter (where e.is_earlier), 0) as billed,
               coalesce(sum(e.event_count) filter (where not e.is_earlier), 0) as events,
               coalesce(sum(e.event_count) filter (where e.is_earlier), 0) as billed_events
        from (
            select e.dimensions, e.quantity, e.event_count, e.since < (segment).since as is_earlier
            from jsonb_to_recordset(entries) e (
                metric text, item text, quantity numeric, event_count numeric, dimensions jsonb, since timestamptz, until timestamptz)
            where e.metric = (segment).metric and (e.item is null or e.item = (segment).item)
              and (e.since >= (segment).since and e.until <= (segment).until or earlier @> tstzrange(e.since, e.until))
        ) e
        cross join lateral (
            select coalesce(jsonb_object_agg(d, e.dimensions ->> d) filter (where e.dimensions ->> d is not null), '{}') as conditions
            from unnest(_price_dimensions((segment).price)) d
        ) c
        group by 1
    ) g
    where g.quantity <> 0 or g.billed <> 0 or g.events <> 0 or g.billed_events <> 0
$$;

comment on function _scenario_combinations(jsonb, invoice_segment, tstzmultirange) is
    'The usage of each combination of values of metadata in a segment, and in the times before that its tiers go on counting from.';

create or replace function _check_scenario_usage(entries jsonb, segments invoice_segment[], metrics metrics[])
returns void
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_wrong record;
begin
    select e.path, p.problem into v_wrong
    from jsonb_to_recordset(entries) e (
        n integer, path text, metric text, item text, event_count numeric, since timestamptz, until timestamptz)
    join unnest(metrics) m on m.key = e.metric
    cross join lateral (
        select count(s.metric) as all_segments, count(*) filter (where (s.since, s.until) = (e.since, e.until)) as equal_ones,
               bool_or(e.since < s.since or e.until > s.until) as is_cut,
               bool_or(jsonb_path_exists(s.price, '$.**.fixed_amount')) as needs_events,
               bool_or(s.price ->> 'model' = 'matrix') as has_matrix
        from unnest(segments) s
        where s.metric = e.metric and (e.item is null or s.item = e.item) and s.since < e.until and s.until > e.since
    ) s
    cross join lateral (
        select case
            when s.all_segments = 0 then '.item item'
            when m.aggregate not in ('sum', 'count') and s.has_matrix then '.metric values'
            when m.aggregate in ('sum', 'count') and s.is_cut or m.aggregate not in ('sum', 'count') and s.equal_ones = 0 then ' cut'
            when s.needs_events and e.event_count is null and m.aggregate <> 'count' then '.event_count event_count'
            when m.aggregate not in ('sum', 'count') and exists (
                select from jsonb_to_recordset(entries) o (n integer, metric text, item text, since timestamptz, until timestamptz)
                where o.n <> e.n and o.metric = e.metric and (o.item is null or e.item is null or o.item = e.item)
                  and (o.since, o.until) = (e.since, e.until)) then ' twice'
        end as problem
    ) p
    where p.problem is not null
    order by e.n
    limit 1;
    if v_wrong.path is not null then
        perform _refuse_scenario(v_wrong.path || split_part(v_wrong.problem, ' ', 1), split_part(v_wrong.problem, ' ', 2));
    end if;
end
$$;

comment on function _check_scenario_usage(jsonb, invoice_segment[], metrics[]) is
    'Raises 22023 for usage that a change of a price cuts, that no line takes, or that says too little or too much for the price.';
