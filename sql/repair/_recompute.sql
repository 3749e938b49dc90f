-- Reads events once, into the finer buckets, and merges these into the coarser ones. Only `last` depends on the order of events, so only
-- its events are sorted. No merge joins: sorting texts costs more than a hash join.
create or replace function _recompute_rollups(subject text, metric text)
returns setof rollups
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    return query
    with kinds as materialized (
        -- Expressions that depend only on the metric are computed once here, not for every event.
        select key, aggregate, fine, coarse_bucket as coarse, aggregate in ('sum', 'count', 'avg') as adds,
               case fine when 'hour' then interval '1 hour' when 'day' then interval '1 day' end as step
        from metrics cross join lateral (select fine_bucket) f (fine)
        where _recompute_rollups.metric is null or key = _recompute_rollups.metric
    ), fine as materialized (
        select g.bucket_start, g.subject, g.metric, k.fine as bucket, k.coarse, k.aggregate,
               g.event_count, g.last_at, g.total, g.lowest, g.highest, null::numeric as latest, null::bigint as last_event_id
        from (
            select coalesce(date_bin(k.step, e.at, '1970-01-01 00:00:00+00'), _bucket_start(k.fine, e.at)) as bucket_start,
                   e.subject, e.metric, count(*) as event_count, max(e.at) as last_at,
                   sum(e.quantity) filter (where k.adds) as total, min(e.quantity) filter (where not k.adds and k.aggregate = 'min') as lowest,
                   max(e.quantity) filter (where not k.adds and k.aggregate = 'max') as highest
            from events e join kinds k on k.key = e.metric and k.aggregate <> 'last'
            where _recompute_rollups.subject is null or e.subject = _recompute_rollups.subject
            group by 1, 2, 3
        ) g
        join kinds k on k.key = g.metric
        union all
        select _bucket_start(k.fine, e.at), e.subject, e.metric, k.fine, k.coarse, k.aggregate,
               count(*), max(e.at), null, null, null,
               (array_agg(e.quantity order by e.at desc, e.event_id desc))[1],
               (array_agg(e.event_id order by e.at desc, e.event_id desc))[1]
        from events e
        join kinds k on k.key = e.metric and k.aggregate = 'last'
        where _recompute_rollups.subject is null or e.subject = _recompute_rollups.subject
        group by 1, 2, 3, 4, 5, 6
    ), every as not materialized (
        select bucket_start, subject, metric, bucket, aggregate, event_count, last_at, total, lowest, highest, latest, last_event_id
        from fine
        union all
        select _bucket_start(coarse, bucket_start), subject, metric, coarse, aggregate,
               sum(event_count)::bigint, max(last_at), sum(total), min(lowest), max(highest), null, null
        from fine
        where coarse <> bucket and aggregate <> 'last'
        group by 1, 2, 3, 4, 5
        union all
        select _bucket_start(coarse, bucket_start), subject, metric, coarse, aggregate,
               sum(event_count)::bigint, max(last_at), null, null, null,
               (array_agg(latest order by last_at desc, last_event_id desc))[1],
               (array_agg(last_event_id order by last_at desc, last_event_id desc))[1]
        from fine
        where coarse <> bucket and aggregate = 'last'
        group by 1, 2, 3, 4, 5
    ), fine_members as materialized (
        select * from _logged_members(_recompute_rollups.subject, _recompute_rollups.metric)
    ), members as (
        select bucket_start, subject, metric, bucket, count(*) as total
        from fine_members
        group by 1, 2, 3, 4
        union all
        select bucket_start, subject, metric, bucket, count(*)
        from (select distinct _bucket_start(coarse, bucket_start) as bucket_start, subject, metric, coarse as bucket, member_digest
              from fine_members where coarse <> bucket) c
        group by 1, 2, 3, 4
    )
    select bucket_start, event_count, last_at, last_event_id, 0::smallint, subject, metric, bucket, total, lowest, highest, latest
    from every
    where aggregate <> 'unique'
    union all
    select bucket_start, e.event_count, e.last_at, null, 0::smallint, subject, metric, bucket, m.total, null, null, null
    from every e
    left join members m using (bucket_start, subject, metric, bucket)
    where e.aggregate = 'unique';
    perform _check_snapshot();
end
$$;

comment on function _recompute_rollups(text, text) is 'The rollups of one subject and metric (null: all), computed from the log.';

create or replace function _recompute_members(subject text, metric text)
returns setof unique_members
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    with kinds as materialized (
        select m.key, _seen_unit(m.period, m.rollup) as unit, b.bucket
        from metrics m
        cross join lateral (select _member_bucket(m.period) union select _member_bucket(m.rollup)) b (bucket)
        where m.aggregate = 'unique' and b.bucket is not null
    )
    select _bucket_start(k.bucket, l.bucket_start), l.subject, l.metric, k.bucket, l.member_digest,
           bit_or(case when k.bucket = 'month' then _seen_bit(k.unit, l.bucket_start) end)::bit varying,
           null::bit varying
    from _logged_members(_recompute_members.subject, _recompute_members.metric) l
    join kinds k on k.key = l.metric
    group by 1, 2, 3, 4, 5;
end
$$;

comment on function _recompute_members(text, text) is
    'The rows of unique_members of one subject and metric (null: all), computed from the log.';

create or replace function _logged_members(subject text, metric text)
returns table (series_id integer, bucket text, bucket_start timestamptz, member_digest uuid, coarse text)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    with kinds as materialized (
        select key, fine_bucket as fine, coarse_bucket as coarse
        from metrics
        where aggregate = 'unique' and (_logged_members.metric is null or key = _logged_members.metric)
    )
    select subject, metric, bucket, bucket_start, _digest(member), coarse
    from (
        select distinct _bucket_start(k.fine, e.at) as bucket_start, e.subject, e.metric, k.fine as bucket, k.coarse, e.member
        from events e
        join kinds k on k.key = e.metric
        where _logged_members.subject is null or e.subject = _logged_members.subject
    ) seen;
    perform _check_snapshot();
end
$$;

comment on function _logged_members(text, text) is
    'The members of each finer bucket of one subject and metric (null: all), from the log, with the kind of the coarser bucket.';
