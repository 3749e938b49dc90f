create or replace function _window_usage(metric metrics, subject text, since timestamptz, until timestamptz)
returns usage_state
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_coarse text := _coarse_bucket(_window_usage.metric.period, _window_usage.metric.rollup);
    v_state  usage_state;
begin
    -- The usual window of a quota check is one whole coarse bucket, such as the current period: one lookup by primary key.
    if _bucket_start(v_coarse, _window_usage.since) = _window_usage.since and _bucket_end(v_coarse, _window_usage.since) = _window_usage.until then
        select coalesce(sum(event_count), 0), coalesce(_quantity(_window_usage.metric.aggregate, sum(event_count)::bigint,
                   sum(total), min(lowest), max(highest), (array_agg(latest order by last_at desc, last_event_id desc))[1]), 0)
        into v_state
        from rollups
        where subject = _window_usage.subject and metric = _window_usage.metric.key and bucket = v_coarse and bucket_start = _window_usage.since;
    else
        select * into v_state
        from _bulk_usage(_window_usage.metric, _window_usage.subject,
            array[_cut_window(_window_usage.metric, _window_usage.since, _window_usage.until)]);
    end if;
    return v_state;
end
$$;

comment on function _window_usage(metrics, text, timestamptz, timestamptz) is
    'Returns the number of events and the aggregated quantity of one subject and metric in [since, until); 0 and 0 without events. A '
    'null since or until leaves that side open. Raises UM006 and 40001 as _check_all_edges() does.';

-- Sums up, for each window, the pieces that _cut_window() returns. One statement answers all windows: a chart has hundreds, and starting a
-- statement costs more than reading a bucket. JIT is off because compiling costs more than the whole query.
create or replace function _bulk_usage(metric metrics, subject text, cuts window_cut[])
returns setof usage_state
language plpgsql
stable
set search_path from current
set jit to off
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_key         text := (_bulk_usage.metric).key;
    v_aggregate   text := (_bulk_usage.metric).aggregate;
    v_fine        text := _fine_bucket((_bulk_usage.metric).period, (_bulk_usage.metric).rollup);
    v_coarse      text := _coarse_bucket((_bulk_usage.metric).period, (_bulk_usage.metric).rollup);
    -- Everything that is read from the log lies in [v_head, v_head_end) and [v_tail, v_tail_end); null means nothing. A custom plan
    -- prunes all other partitions; a generic plan would lock every partition of the log.
    v_head        timestamptz;
    v_head_end    timestamptz;
    v_tail        timestamptz;
    v_tail_end    timestamptz;
begin
    select min(since) filter (where since < fine_since), max(fine_since) filter (where since < fine_since),
           min(fine_until) filter (where fine_until < until), max(until) filter (where fine_until < until)
    into v_head, v_head_end, v_tail, v_tail_end from unnest(_bulk_usage.cuts);

    return query
    select u.event_count, coalesce(case
        when v_aggregate = 'unique' and u.event_count <= 1 then u.event_count
        -- Several pieces may have members in common; a single bucket has its exact count.
        when v_aggregate = 'unique' and (u.first_bucket < u.last_bucket or c.since < c.fine_since or c.fine_until < c.until)
            then _distinct_members(_bulk_usage.metric, _bulk_usage.subject, _bulk_usage.cuts[c.n])
        else u.quantity
    end, 0)
    from unnest(_bulk_usage.cuts) with ordinality c (since, fine_since, coarse_since, coarse_until, fine_until, until, n)
    cross join lateral (
        -- The latest value by max(): sorting the rows of every window would cost more than reading them.
        select min(p.bucket_start) as first_bucket, max(p.bucket_start) as last_bucket,
               coalesce(sum(p.event_count), 0)::bigint as event_count,
               _quantity(v_aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest),
                   (max(array[extract(epoch from p.last_at), p.last_event_id, p.latest]) filter (where v_aggregate = 'last'))[3]
               ) as quantity
        from (
            select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
            from rollups
            where subject = _bulk_usage.subject and metric = v_key and bucket = v_coarse and c.coarse_since < c.coarse_until
              and bucket_start >= c.coarse_since and bucket_start < c.coarse_until
            union all
            select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
            from rollups
            where subject = _bulk_usage.subject and metric = v_key and bucket = v_fine and c.fine_since < c.coarse_since
              and bucket_start >= c.fine_since and bucket_start < c.coarse_since
            union all
            select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
            from rollups
            where subject = _bulk_usage.subject and metric = v_key and bucket = v_fine and c.coarse_until < c.fine_until
              and bucket_start >= c.coarse_until and bucket_start < c.fine_until
            union all
            select null, 1, quantity, quantity, quantity, quantity, at, event_id
            from events
            where subject = _bulk_usage.subject and metric = v_key and c.since < c.fine_since
              and at >= c.since and at < c.fine_since and at >= v_head and at < v_head_end
            union all
            select null, 1, quantity, quantity, quantity, quantity, at, event_id
            from events
            where subject = _bulk_usage.subject and metric = v_key and c.fine_until < c.until
              and at >= c.fine_until and at < c.until and at >= v_tail and at < v_tail_end
        ) p
    ) u
    order by c.n;
    perform _check_all_edges(_bulk_usage.metric, _bulk_usage.subject, _bulk_usage.cuts);
end
$$;

comment on function _bulk_usage(metrics, text, window_cut[]) is
    'Returns the number of events and the aggregated quantity of one subject and metric in each of many windows, in the order of the '
    'windows; 0 and 0 without events. Raises UM006 and 40001 as _check_all_edges() does.';

-- A window is cut into at most five pieces, so that the cost of a query does not grow with the number of events in the window:
--
--     since      fine_since       coarse_since         coarse_until       fine_until      until
--       |---log------|----fine rollups---|---coarse rollups---|---fine rollups---|----log----|
--
-- Whole coarse buckets and, on both sides of them, whole fine buckets are read from rollups. The two edges, each shorter than a fine bucket,
-- are read from the log. An empty piece has equal ends.
create or replace function _cut_window(metric metrics, since timestamptz, until timestamptz)
returns window_cut
language plpgsql
immutable
set search_path from current
as $$
declare
    v_fine   text := _fine_bucket((_cut_window.metric).period, (_cut_window.metric).rollup);
    v_coarse text := _coarse_bucket((_cut_window.metric).period, (_cut_window.metric).rollup);
    v_cut    window_cut;
begin
    -- No event is older than 1970; its first week began in 1969.
    v_cut.since := greatest(_cut_window.since, _bucket_start(v_coarse, '1970-01-01 00:00:00+00'));
    v_cut.until := greatest(coalesce(_cut_window.until, 'infinity'), v_cut.since);
    v_cut.fine_since := _next_bucket_start(v_fine, v_cut.since);
    v_cut.coarse_since := _next_bucket_start(v_coarse, v_cut.since);
    v_cut.coarse_until := case when v_cut.until = 'infinity' then v_cut.until else _bucket_start(v_coarse, v_cut.until) end;
    v_cut.fine_until := case when v_cut.until = 'infinity' then v_cut.until else _bucket_start(v_fine, v_cut.until) end;
    if v_cut.fine_since >= v_cut.fine_until then
        v_cut.fine_since := v_cut.until;
        v_cut.fine_until := v_cut.until;
    end if;
    if v_cut.coarse_since >= v_cut.coarse_until then
        v_cut.coarse_since := v_cut.fine_until;
        v_cut.coarse_until := v_cut.fine_until;
    end if;
    return v_cut;
end
$$;

comment on function _cut_window(metrics, timestamptz, timestamptz) is
    'Cuts the window [since, until) into the pieces that rollups answer and the edges that are read from the log. A null since or '
    'until leaves that side open.';
