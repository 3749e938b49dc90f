-- The log has no index that orders it by event_id, only a summary (BRIN) of the ids in each range of pages. So ranges of ids are read, from
-- the highest id downwards, until the page is full. A range has at least 10,000 ids that this meter can draw, because a range of pages in the
-- summary has about as many rows. Where ids have gaps, ranges become wider; one that has too many rows is made narrower before it is read.
-- Counting stops at that limit.
--
-- The rows of a metric or a window may be far down. So each time that twice as many rows have been walked through, all rows of the selection
-- are looked for by series, if that takes no more look-ups than rows were walked through. A page costs a small multiple of the cheaper way.
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
    c_few     constant bigint := greatest(10000, _latest_events.max_rows);
    c_many    constant bigint := 4 * c_few;
    c_least   constant bigint := c_few * (select q.seqincrement from pg_sequence q where q.seqrelid = 'event_ids'::regclass);
    v_log     text := _log_range(_latest_events.since, _latest_events.until);
    v_all_here boolean := _all_here();
    v_is_part boolean := _latest_events.metric is not null or isfinite(_latest_events.since) or isfinite(_latest_events.until);
    v_series  integer[];
    v_before  bigint := _latest_events.before;
    v_from    bigint := least(_latest_events.before, (select last_value + 1 from event_ids));
    v_width   bigint := c_least;
    v_rows    bigint;
    v_walked  bigint := 0;
    v_tried   bigint := 0;
    v_left    bigint := _latest_events.max_rows;
    v_found   bigint;
begin
    loop
        v_rows := c_few;
        if v_width > c_least then
            execute format('select count(*) from (select from (%s) e limit $3) counted', v_log) into v_rows
                using greatest(v_from - v_width, 1), v_before, c_many + 1;
        end if;
        if v_rows > c_many then
            v_width := greatest(v_width / 8, c_least);
            continue;
        end if;
        v_walked := v_walked + v_rows;
        v_from := greatest(v_from - v_width, 1);
        return query execute format('select e.* from (%s) e where e.at >= $3 and e.at < $4 and ($5 is null and $7 or exists (select from series s '
            'where s.series_id = e.series_id and s.stripe = 0 and ($5 is null or s.metric = $5) and ($7 or _is_here(s.subject)))) '
            'order by e.event_id desc limit $6', v_log)
            using v_from, v_before, _latest_events.since, _latest_events.until, _latest_events.metric, v_left, v_all_here;
        get diagnostics v_found = row_count;
        v_left := v_left - v_found;
        exit when v_left = 0 or v_from = 1;
        v_before := v_from;
        if v_rows <= c_few then
            v_width := 4 * v_width;
        end if;
        if v_is_part and v_walked >= 2 * v_tried then
            v_tried := v_walked;
            v_series := _scarce_series(_latest_events.metric, _latest_events.since, _latest_events.until, v_walked);
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
    return v_partitions;
end
$$;

comment on function _log_range(timestamptz, timestamptz) is
    'Returns the query of the rows of the log with ids in [$1, $2), in partitions that overlap [since, until) and in the default one.';
