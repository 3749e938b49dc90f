-- For each metric the primary key returns the newest events in order, so the cost depends on the page, not on the log. The page is read in
-- slices of time, newest first, until it is full, so that only the partitions that it needs are opened and locked. Every event has a
-- rollup, so rollups determine where the next slice begins. A custom plan for each slice prunes the other partitions.
create or replace function _newest_events(
    subject text, metric text, since timestamptz, until timestamptz, after_at timestamptz, after_id bigint, max_rows integer)
returns setof logged_events
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_until  timestamptz := least(_newest_events.until, _newest_events.after_at + interval '1 microsecond');
    v_since  timestamptz;
    v_newest timestamptz;
    v_months int := 0;
    v_left   bigint := _newest_events.max_rows;
    v_found  bigint;
begin
    perform from events where false;  -- locks the log, even if there is no slice to read
    loop
        v_newest := _newest_event_before(_newest_events.subject, _newest_events.metric, v_until);
        exit when v_newest is null;
        v_until := v_newest + interval '1 microsecond';
        v_since := greatest(_newest_events.since, _bucket_start('month', v_newest) - make_interval(months => v_months));
        return query
            select page.*
            from metrics m
            cross join lateral (
                select e.*
                from events e
                where e.subject = _newest_events.subject and e.metric = m.key and e.at >= v_since and e.at < v_until
                  and (e.at, e.event_id) < (_newest_events.after_at, _newest_events.after_id)
                order by e.at desc, e.event_id desc
                limit v_left
            ) page
            where _newest_events.metric is null or m.key = _newest_events.metric
            order by page.at desc, page.event_id desc
            limit v_left;
        get diagnostics v_found = row_count;
        v_left := v_left - v_found;
        exit when v_left = 0 or v_since <= _newest_events.since;
        v_until := v_since;
        v_months := 2 * v_months + 1;
    end loop;
end
$$;

comment on function _newest_events(text, text, timestamptz, timestamptz, timestamptz, bigint, integer) is
    'Returns the newest events of a subject in [since, until) that come after the cursor (after_at, after_id), newest first, at most '
    'max_rows.';

-- Reads the latest bucket, which may have several stripes. If that bucket contains `until`, its last_at may be later than `until`; the result
-- is then the instant just before `until`.
create or replace function _newest_event_before(subject text, metric text, until timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return (
        select case when max(stripes.last_at) < until then max(stripes.last_at) else max(until) - interval '1 microsecond' end
        from metrics m
        cross join lateral (select m.fine_bucket) b (bucket)
        cross join lateral (
            select r.bucket_start
            from rollups r
            where r.subject = _newest_event_before.subject and r.metric = m.key and r.bucket = b.bucket
              and r.bucket_start < _newest_event_before.until
            order by r.bucket_start desc
            limit 1
        ) newest
        cross join lateral (
            select max(r.last_at)
            from rollups r
            where r.subject = _newest_event_before.subject and r.metric = m.key and r.bucket = b.bucket
              and r.bucket_start = newest.bucket_start
        ) stripes (last_at)
        where _newest_event_before.metric is null or m.key = _newest_event_before.metric);
end
$$;

comment on function _newest_event_before(text, text, timestamptz) is
    'Returns an upper bound, before `until`, of the times of a subject''s events before `until`; of one metric, or of all if metric is '
    'null. Returns null if there is no such event.';

-- `near` comes from a client and may be rounded to milliseconds, so it is only a hint where to search first. Without it, or if it is wrong,
-- all events of the subject are searched. OFFSET 0 forces one lookup by primary key for each metric.
create or replace function _event_time(subject text, metric text, event_id bigint, near timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_at       timestamptz;
    v_distance interval;
begin
    foreach v_distance in array case when near is not null then array[interval '0', interval '1 second'] else '{}' end loop
        select found.at into v_at
        from metrics m
        cross join lateral (
            select e.at from events e
            where e.subject = _event_time.subject and e.metric = m.key and e.event_id = _event_time.event_id
              and e.at between near - v_distance and near + v_distance
            offset 0
        ) found
        where _event_time.metric is null or m.key = _event_time.metric;
        exit when v_at is not null;
    end loop;
    if v_at is null then
        select e.at into v_at from events e
        where e.subject = _event_time.subject and e.event_id = _event_time.event_id
          and (_event_time.metric is null or e.metric = _event_time.metric);
    end if;
    return v_at;
end
$$;

comment on function _event_time(text, text, bigint, timestamptz) is
    'Returns the time of an event of a subject, or null if the subject has no such event. The search begins at and around `near`.';
