-- Totals were kept only for buckets of a week or longer; to these the events of the log are added. Members cannot be added up: a bucket
-- that consists of one part keeps its count, a bucket of several parts is counted again from its members.
create or replace function _expected_rollups(subject text, metric text)
returns setof rollups
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_mergejoin to off
as $$
#variable_conflict use_column
begin
    if not exists (select from dropped_rollups) then
        return query select * from _recompute_rollups(_expected_rollups.subject, _expected_rollups.metric);
        return;
    end if;
    return query
    with logged as materialized (
        select * from _recompute_rollups(_expected_rollups.subject, _expected_rollups.metric)
    ), parts as (
        select bucket_start, event_count, last_at, last_event_id, subject, metric, bucket, total, lowest, highest, latest
        from logged
        where bucket in ('week', 'month', 'year', 'never')
        union all
        select d.bucket_start, d.event_count, d.last_at, d.last_event_id, d.subject, d.metric, d.bucket,
               d.total, d.lowest, d.highest, d.latest
        from dropped_rollups d
        join metrics m on m.key = d.metric and m.period = d.bucket
        where (_expected_rollups.subject is null or d.subject = _expected_rollups.subject)
          and (_expected_rollups.metric is null or d.metric = _expected_rollups.metric)
    ), added as (
        select bucket_start, sum(event_count)::bigint as event_count, max(last_at) as last_at, subject, metric, bucket, count(*) as parts,
               sum(total) as total, min(lowest) as lowest, max(highest) as highest,
               (max(array[extract(epoch from last_at), last_event_id, latest]) filter (where latest is not null)) as last
        from parts
        group by subject, metric, bucket, bucket_start
    ), members as (
        select e.subject, e.metric, e.bucket, e.bucket_start, count(*) as total
        from _expected_members(_expected_rollups.subject, _expected_rollups.metric) e
        join metrics m on m.key = e.metric and m.period = e.bucket
        group by 1, 2, 3, 4
    )
    select * from logged where bucket not in ('week', 'month', 'year', 'never')
    union all
    select bucket_start, a.event_count, a.last_at, a.last[2]::bigint, 0::smallint, subject, metric, bucket,
           case when m.aggregate = 'unique' and a.parts > 1 then u.total else a.total end, a.lowest, a.highest, a.last[3]
    from added a
    join metrics m on m.key = a.metric
    left join members u using (subject, metric, bucket, bucket_start);
end
$$;

comment on function _expected_rollups(text, text) is
    'The rollups of one subject and metric (null: all), computed from the log and the totals of dropped months.';

-- For a dropped month the stored members are taken as correct; only late events can be missing. For buckets longer than a month the
-- members of dropped partitions were kept in dropped_members.
create or replace function _expected_members(subject text, metric text)
returns setof unique_members
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_dropped      timestamptz[] := array(select _dropped_months());
    v_unverifiable timestamptz[] := array(select _unverifiable_months());
begin
    if v_dropped = '{}' then
        return query select * from _recompute_members(_expected_members.subject, _expected_members.metric);
        return;
    end if;
    return query
    select bucket_start, subject, metric, bucket, member_digest, bit_or(seen)::bit varying, null::bit varying
    from (
        select bucket_start, subject, metric, bucket, member_digest, seen
        from _recompute_members(_expected_members.subject, _expected_members.metric)
        union all
        select d.bucket_start, d.subject, d.metric, d.bucket, d.member_digest, null
        from dropped_members d
        where (_expected_members.subject is null or d.subject = _expected_members.subject)
          and (_expected_members.metric is null or d.metric = _expected_members.metric)
        union all
        select u.bucket_start, u.subject, u.metric, u.bucket, u.member_digest, u.seen
        from unique_members u
        where (_expected_members.subject is null or u.subject = _expected_members.subject)
          and (_expected_members.metric is null or u.metric = _expected_members.metric)
          and _overlaps_months(case when u.bucket in ('week', 'year', 'never') then v_unverifiable else v_dropped end,
                               u.bucket_start, _bucket_end(u.bucket, u.bucket_start))
    ) m
    group by 1, 2, 3, 4, 5;
end
$$;

comment on function _expected_members(text, text) is
    'The rows of unique_members of one subject and metric (null: all), computed from the log and the kept members of dropped months.';

create or replace function _unverifiable_months()
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_attached boolean;
begin
    perform from events where false;  -- locks events before looking at partitions, as in _dropped_months()
    -- A table attached by hand under another name may contain events whose totals were kept.
    v_attached := exists (
        select from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'events'::regclass and c.relname <> 'events_default'
          and c.relname not in (select _partition_name(month) from log_months));
    return query
    select m.month
    from log_months m
    cross join lateral (
        select coalesce(pg_partition_root(to_regclass(_partition_name(m.month))) = 'events'::regclass, false) as attached
    ) p
    where (m.dropped or not p.attached) and (v_attached or m.partitions - p.attached::int <> m.totals_kept);
end
$$;

comment on function _unverifiable_months() is
    'The dropped months (their starts, UTC) without all totals: a partition was dropped or attached by hand, or dropped by a release that '
    'kept no totals.';
