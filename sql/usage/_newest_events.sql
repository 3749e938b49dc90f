-- For each series the index returns the newest events in order, so the cost depends on the page, not on the log; WITH TIES, because it does
-- not order events of one time. The page is read in slices of time, newest first, until it is full, so that only the partitions that it
-- needs are opened and locked: a custom plan for each slice prunes the others. Every event has a fine bucket, so these determine where the
-- next slice begins. With sorting off, the index is the only way to the newest events.
create or replace function _newest_events(
    subject text, metric text, since timestamptz, until timestamptz, after_at timestamptz, after_id bigint, max_rows integer, as_of timestamptz
)
returns setof logged_events
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_sort to off
as $$
#variable_conflict use_column
declare
    v_series  integer[];
    v_metrics text[];
    v_until   timestamptz := least(_newest_events.until, _newest_events.after_at + interval '1 microsecond');
    v_since   timestamptz;
    v_newest  timestamptz;
    v_months  int := 0;
    v_left    bigint := _newest_events.max_rows;
    v_found   bigint;
    v_first   timestamptz := _newest_events.since;
    v_archive archives;
begin
    perform from events where false;  -- locks the log, even if there is no slice to read
    select array_agg(s.series_id), array_agg(s.metric_key) into v_series, v_metrics
    from _subject_series(_newest_events.subject, _newest_events.metric) s;
    -- What came before an archived month is not read: a page that is not full without it is refused.
    v_archive := _needed_archive(v_series, v_first, v_until);
    if v_archive.archive_id is not null then
        v_first := greatest(v_first, _bucket_end('month', v_archive.month));
    end if;
    loop
        v_newest := _newest_event_before(v_series, v_until);
        exit when v_newest is null;
        v_until := v_newest + interval '1 microsecond';
        v_since := greatest(v_first, _shift(_bucket_start('month', v_newest), make_interval(months => -v_months)));
        return query
            select e.event_id, e.at, e.recorded_at, _newest_events.subject, s.metric, e.quantity, e.member, e.idempotency_key, e.metadata,
                   coalesce(k.kind, 'usage') collate "C", k.corrects, k.correction_id
            from unnest(v_series, v_metrics) s (series_id, metric)
            cross join lateral (
                select *
                from events e
                where e.series_id = s.series_id and e.at >= v_since and e.at < v_until
                  and (e.at, e.event_id) < (_newest_events.after_at, _newest_events.after_id) and e.recorded_at <= _newest_events.as_of
                order by e.at desc
                fetch first (v_left) rows with ties
            ) e
            left join lateral (
                select k.kind, k.corrects, k.correction_id from event_kinds k where k.event_id = e.event_id offset 0
            ) k on true
            order by e.at desc, e.event_id desc
            limit v_left;
        get diagnostics v_found = row_count;
        v_left := v_left - v_found;
        exit when v_left = 0 or v_since <= v_first;
        v_until := v_since;
        v_months := 2 * v_months + 1;
    end loop;
    if v_left > 0 and v_archive.archive_id is not null then
        perform _raise_archived(v_archive, 'Pass a since after that month.');
    end if;
end
$$;

comment on function _newest_events(text, text, timestamptz, timestamptz, timestamptz, bigint, integer, timestamptz) is
    'Returns the newest events of a subject in [since, until) that come after the cursor (after_at, after_id), newest first, at most '
    'max_rows; as_of: only what had been recorded by then. Raises UM006 if the page needs an archived month.';

-- Of a bucket that contains `until`, last_at may be later than `until`; the result is then the instant just before `until`.
create or replace function _newest_event_before(series_ids integer[], until timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select case when max(newest.last_at) is not null then least(max(newest.last_at), until - interval '1 microsecond') end
        from unnest(series_ids) i (series_id)
        cross join lateral (
            select s.fine_last_at from series s where s.series_id = i.series_id and s.fine_last_at > '-infinity' and s.fine_start < until
            union all
            select max(r.last_at)
            from (
                select r.bucket, r.bucket_start
                from series s
                join metrics m on m.key = s.metric
                cross join lateral (
                    select r.bucket, r.bucket_start from rollups r
                    where r.series_id = i.series_id and r.bucket = m.fine_bucket and r.bucket_start < until
                    order by r.bucket_start desc
                    limit 1
                ) r
                where s.series_id = i.series_id and s.stripe = 0
            ) b
            join rollups r on r.series_id = i.series_id and r.bucket = b.bucket and r.bucket_start = b.bucket_start
        ) newest (last_at));
end
$$;

comment on function _newest_event_before(integer[], timestamptz) is
    'An upper bound, before `until`, of the times of events of these series before `until`. Null if there is no such event.';

-- A look-up by primary key for each metric: OFFSET 0 leaves no other plan.
create or replace function _subject_series(subject text, metric text)
returns table (series_id integer, metric_key text)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select s.series_id, m.key
        from metrics m
        cross join lateral (
            select s.series_id from series s where s.metric = m.key and s.subject = _subject_series.subject and s.stripe = 0 offset 0
        ) s
        where _subject_series.metric is null or m.key = _subject_series.metric;
end
$$;

comment on function _subject_series(text, text) is 'The series of a subject: of one metric, or of all if metric is null.';
