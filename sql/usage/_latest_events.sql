-- The log has no index that orders it by event_id, only a summary (BRIN) of the ids in each range of pages. So ranges of ids are read, from
-- the highest id downwards, each four times as wide as the one before, until the page is full. A range has at least 10,000 ids, because the
-- pages that a range of the summary covers have about as many rows. After a gap the range may be much wider than the page needs, where the
-- next rows are: a range that has too many rows is made narrower before it is read. Rows are counted only up to a limit.
--
-- With a metric or a window, the rows may be far down. Before the next range is read, all rows of the selection are looked for by series,
-- if that takes fewer look-ups than the range has ids. So a page costs a small multiple of the cheaper of both ways.
create or replace function _latest_events(metric text, since timestamptz, until timestamptz, before bigint, max_rows integer)
returns setof events
language plpgsql
stable
set search_path from current
set jit to off
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    c_narrowest constant bigint := greatest(10000, _latest_events.max_rows);
    v_log        text := _log_range(_latest_events.since, _latest_events.until);
    v_is_part    boolean := _latest_events.metric is not null or isfinite(_latest_events.since) or isfinite(_latest_events.until);
    v_series     integer[];
    v_before     bigint := _latest_events.before;
    v_first_id   bigint := least(_latest_events.before, (select last_value + 1 from event_ids));
    v_from       bigint;
    v_width      bigint := c_narrowest;
    v_left       bigint := _latest_events.max_rows;
    v_found      bigint;
begin
    loop
        v_from := greatest(v_first_id - v_width, 1);
        if v_width > c_narrowest then
            execute format('select count(*) from (select %s limit $6) counted', v_log) into v_found
                using v_from, v_before, _latest_events.since, _latest_events.until, _latest_events.metric, 4 * c_narrowest + 1;
            if v_found > 4 * c_narrowest then
                v_width := greatest(v_width / 8, c_narrowest);
                continue;
            end if;
        end if;
        return query execute format('select e.* %s order by e.event_id desc limit $6', v_log)
            using v_from, v_before, _latest_events.since, _latest_events.until, _latest_events.metric, v_left;
        get diagnostics v_found = row_count;
        v_left := v_left - v_found;
        exit when v_left = 0 or v_from = 1;
        v_before := v_from;
        v_first_id := v_from;
        v_width := 4 * v_width;
        if v_is_part then
            v_series := _scarce_series(_latest_events.metric, _latest_events.since, _latest_events.until, v_width);
            if v_series is not null then
                return query select * from _latest_of_series(v_series, _latest_events.since, _latest_events.until, v_before, v_left);
                exit;
            end if;
        end if;
    end loop;
end
$$;

comment on function _latest_events(text, timestamptz, timestamptz, bigint, integer) is
    'Returns the rows of the log with the highest ids below `before`, of one metric or of all, with times in [since, until); at most max_rows.';

-- Not the partitioned table: with a condition on the time, the planner could prefer the index by series and time, which it would have to read
-- from end to end. OFFSET 0 leaves the summary of ids as the only way. The caller has locked the log, so partitions stay what they are;
-- pg_partition_root() reads the current catalog, not the snapshot.
create or replace function _log_range(since timestamptz, until timestamptz)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_partitions text;
begin
    perform from events where false;  -- locks the log
    select string_agg(format(
        '(select event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata from %s '
        'where event_id >= $1 and event_id < $2 offset 0)', c.oid::regclass), ' union all ')
    into v_partitions
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'events'::regclass and pg_partition_root(c.oid) = 'events'::regclass
      and not exists (
        select from log_months m
        where _partition_name(m.month) = c.relname and not _overlaps_months(array[m.month], _log_range.since, _log_range.until));
    if v_partitions is null then
        perform _check_snapshot();
    end if;
    return format('from (%s) e where e.at >= $3 and e.at < $4 and ($5 is null or '
        '(select s.metric from series s where s.series_id = e.series_id and s.stripe = 0) = $5)', v_partitions);
end
$$;

comment on function _log_range(timestamptz, timestamptz) is
    'Returns the FROM and WHERE clause that selects rows e of the log: ids in [$1, $2), times in [$3, $4), the metric $5 or all if it is null. '
    'It opens only partitions that overlap [since, until), and the default one.';

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
        cross join lateral (select s.series_id from series s where s.metric = m.key and s.stripe = 0 offset 0) s
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
