create or replace function _scarce_series(metric text, since timestamptz, until timestamptz, max_lookups bigint)
returns integer[]
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
as $$
#variable_conflict use_column
declare
    v_partitions integer := 1 + (
        select count(*) from log_months m
        where not m.dropped and _overlaps_months(array[m.month], _scarce_series.since, _scarce_series.until));
    v_series     integer[];
    v_events     bigint;
begin
    v_series := array(
        select s.series_id
        from metrics m
        cross join lateral (
            select s.series_id from series s
            where s.metric = m.key and s.stripe = 0 and ((select _all_here()) or _is_here(s.subject))
            offset 0
        ) s
        where _scarce_series.metric is null or m.key = _scarce_series.metric
        limit _scarce_series.max_lookups / v_partitions + 1);
    if cardinality(v_series) > _scarce_series.max_lookups / v_partitions then
        return null;
    end if;
    select count(*) into v_events
    from (
        select
        from unnest(v_series) s (series_id)
        cross join lateral (
            select from events e
            where e.series_id = s.series_id and e.at >= _scarce_series.since and e.at < _scarce_series.until
            offset 0
        ) e
        limit _scarce_series.max_lookups + 1
    ) counted;
    return case when v_events <= _scarce_series.max_lookups then v_series end;
end
$$;

comment on function _scarce_series(text, timestamptz, timestamptz, bigint) is
    'Returns the series of a metric, or of all if it is null, if their rows with times in [since, until) can be read by series with '
    'about max_lookups look-ups; else null. Finding out takes no more.';

create or replace function _latest_of_series(series_ids integer[], since timestamptz, until timestamptz, before bigint, max_rows bigint)
returns setof events
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
        select e.*
        from unnest(series_ids) s (series_id)
        cross join lateral (
            select * from events e
            where e.series_id = s.series_id and e.at >= _latest_of_series.since and e.at < _latest_of_series.until
            offset 0
        ) e
        where e.event_id < before
        order by e.event_id desc
        limit max_rows;
end
$$;

comment on function _latest_of_series(integer[], timestamptz, timestamptz, bigint, bigint) is
    'Returns the rows of these series with the highest ids below `before` and times in [since, until), at most max_rows.';
