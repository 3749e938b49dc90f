create or replace function _window_usage(
    metric metrics, subject text, since timestamptz, until timestamptz, out event_count bigint, out quantity numeric)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_key    text := (_window_usage.metric).key;
    v_fine   text := (_window_usage.metric).fine_bucket;
    v_coarse text := (_window_usage.metric).coarse_bucket;
    v_until  timestamptz := coalesce(_window_usage.until, 'infinity');
    v_bucket text := case
        when _bucket_start(v_coarse, _window_usage.since) = _window_usage.since and _bucket_end(v_coarse, _window_usage.since) = v_until
            then v_coarse
        when _bucket_start(v_fine, _window_usage.since) = _window_usage.since and _bucket_end(v_fine, _window_usage.since) = v_until
            then v_fine
    end;
begin
    -- The usual window is one whole bucket, such as the current period: in each stripe it is closed, or open, or has no events.
    if v_bucket is not null then
        select coalesce(sum(p.event_count), 0), coalesce(_quantity((_window_usage.metric).aggregate, sum(p.event_count)::bigint,
                   sum(p.total), min(p.lowest), max(p.highest), (max(p.latest))[3]), 0)
        into event_count, quantity
        from (
            select r.event_count, r.total, r.lowest, r.highest, r.latest
            from rollups r
            where r.series_id = (select s.series_id from series s where s.metric = v_key and s.subject = _window_usage.subject and s.stripe = 0)
              and r.bucket = v_bucket and r.bucket_start = _window_usage.since
            union all
            select s.coarse_count, s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest
            from series s
            where s.metric = v_key and s.subject = _window_usage.subject
              and v_bucket = v_coarse and s.coarse_start = _window_usage.since and s.coarse_last_at > '-infinity'
            union all
            select s.fine_count, s.fine_total, s.fine_lowest, s.fine_highest, s.fine_latest
            from series s
            where s.metric = v_key and s.subject = _window_usage.subject
              and v_bucket <> v_coarse and s.fine_start = _window_usage.since and s.fine_last_at > '-infinity'
        ) p;
    else
        select u.event_count, u.quantity into event_count, quantity
        from _bulk_usage(_window_usage.metric, _window_usage.subject,
            array[_cut_window(_window_usage.metric, _window_usage.since, _window_usage.until)]) u;
    end if;
end
$$;

comment on function _window_usage(metrics, text, timestamptz, timestamptz) is
    'Returns the number of events and the aggregated quantity of one subject and metric in [since, until); 0 and 0 without events. A '
    'null since or until leaves that side open. Raises UM006 and 40001 as _check_all_edges() does.';

-- Sums up, for each window, the pieces that _cut_window() returns. One statement answers all windows: a chart has hundreds, and starting a
-- statement costs more than reading a bucket. JIT is off because compiling costs more than the whole query.
create or replace function _bulk_usage(metric metrics, subject text, cuts window_cut[])
returns table (event_count bigint, quantity numeric)
language plpgsql
stable
set search_path from current
set jit to off
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_aggregate text := (_bulk_usage.metric).aggregate;
    v_fine      text := (_bulk_usage.metric).fine_bucket;
    v_coarse    text := (_bulk_usage.metric).coarse_bucket;
    v_series    integer := _find_series((_bulk_usage.metric).key, _bulk_usage.subject);
    v_open      rollups[] := _open_rollups(_bulk_usage.metric, v_series);
    -- Everything that is read from the log lies in [v_head, v_head_end) and [v_tail, v_tail_end); null means nothing. A custom plan
    -- prunes all other partitions; a generic plan would lock every partition of the log.
    v_head      timestamptz;
    v_head_end  timestamptz;
    v_tail      timestamptz;
    v_tail_end  timestamptz;
    v_left_out  bigint[];  -- this and the next: see _uncounted_rows()
    v_uncounted bigint[];
begin
    select e.* into v_head, v_head_end, v_tail, v_tail_end, v_left_out, v_uncounted from _log_edges(v_series, _bulk_usage.cuts) e;

    return query
    select u.event_count, coalesce(case
        when v_aggregate = 'unique' and u.event_count <= 1 then u.event_count
        -- Several pieces may have members in common; a single bucket has its exact count.
        when v_aggregate = 'unique' and (u.first_bucket < u.last_bucket or c.since < c.fine_since or c.fine_until < c.until)
            then _distinct_members(_bulk_usage.metric, v_series, _bulk_usage.cuts[c.n])
        else u.quantity
    end, 0)
    from unnest(_bulk_usage.cuts) with ordinality c (since, fine_since, coarse_since, coarse_until, fine_until, until, n)
    cross join lateral (
        select min(p.bucket_start) as first_bucket, max(p.bucket_start) as last_bucket,
               coalesce(sum(p.event_count), 0)::bigint as event_count,
               _quantity(v_aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest), (max(p.latest))[3]) as quantity
        from (
            select bucket_start, event_count, total, lowest, highest, latest
            from rollups
            where series_id = v_series and bucket = v_coarse and c.coarse_since < c.coarse_until
              and bucket_start >= c.coarse_since and bucket_start < c.coarse_until
            union all
            select bucket_start, event_count, total, lowest, highest, latest
            from rollups
            where series_id = v_series and bucket = v_fine and c.fine_since < c.coarse_since
              and bucket_start >= c.fine_since and bucket_start < c.coarse_since
            union all
            select bucket_start, event_count, total, lowest, highest, latest
            from rollups
            where series_id = v_series and bucket = v_fine and c.coarse_until < c.fine_until
              and bucket_start >= c.coarse_until and bucket_start < c.fine_until
            union all
            select bucket_start, event_count, total, lowest, highest, latest
            from unnest(v_open)
            where bucket = v_coarse and bucket_start >= c.coarse_since and bucket_start < c.coarse_until
               or bucket = v_fine and (bucket_start >= c.fine_since and bucket_start < c.coarse_since
                                       or bucket_start >= c.coarse_until and bucket_start < c.fine_until)
            union all
            select null, case when event_id = any (v_uncounted) then 0 else 1 end, quantity, quantity, quantity,
                   case v_aggregate when 'last' then _latest(at, event_id, quantity) end
            from events
            where series_id = v_series and c.since < c.fine_since
              and at >= c.since and at < c.fine_since and at >= v_head and at < v_head_end and event_id <> all (v_left_out)
            union all
            select null, case when event_id = any (v_uncounted) then 0 else 1 end, quantity, quantity, quantity,
                   case v_aggregate when 'last' then _latest(at, event_id, quantity) end
            from events
            where series_id = v_series and c.fine_until < c.until
              and at >= c.fine_until and at < c.until and at >= v_tail and at < v_tail_end and event_id <> all (v_left_out)
        ) p
    ) u
    order by c.n;
    perform _check_all_edges(_bulk_usage.metric, v_series, _bulk_usage.cuts);
end
$$;

comment on function _bulk_usage(metrics, text, window_cut[]) is
    'Returns the number of events and the aggregated quantity of one subject and metric in each of many windows, in the order of the '
    'windows; 0 and 0 without events. Raises UM006 and 40001 as _check_all_edges() does.';
