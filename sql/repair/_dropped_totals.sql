-- Totals were kept only for buckets of a week or longer; to these the events of the log are added. Members cannot be added up: a bucket
-- that consists of one part keeps its count, a bucket of several parts is counted again from its members.
create or replace function _expected_rollups(scope integer[])
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
    with logged as materialized (
        select * from _recompute_rollups(_expected_rollups.scope)
    ), parts as (
        select series_id, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest
        from logged
        where bucket in ('week', 'month', 'year', 'never')
        union all
        select d.series_id, d.bucket, d.bucket_start, d.event_count, d.last_at, d.total, d.lowest, d.highest, d.latest
        from dropped_rollups d
        join series s on s.series_id = d.series_id and s.stripe = 0
        join metrics m on m.key = s.metric and m.period = d.bucket
        where _expected_rollups.scope is null or d.series_id = any (_expected_rollups.scope)
    ), added as (
        select series_id, bucket, bucket_start, sum(event_count)::bigint as event_count, max(last_at) as last_at, count(*) as parts,
               sum(total) as total, min(lowest) as lowest, max(highest) as highest, max(latest) as latest
        from parts
        group by series_id, bucket, bucket_start
    ), members as (
        select e.series_id, e.bucket, e.bucket_start, count(*) as total
        from _expected_members(_expected_rollups.scope) e
        join series s on s.series_id = e.series_id and s.stripe = 0
        join metrics m on m.key = s.metric and m.period = e.bucket
        group by 1, 2, 3
    )
    select * from logged where bucket not in ('week', 'month', 'year', 'never')
    union all
    select bucket_start, a.event_count, a.last_at, series_id, 0::smallint, bucket,
           case when m.aggregate = 'unique' and a.parts > 1 then coalesce(u.total, 0) else a.total end, a.lowest, a.highest, a.latest
    from added a
    join series s using (series_id)
    join metrics m on m.key = s.metric
    left join members u using (series_id, bucket, bucket_start)
    where s.stripe = 0;
end
$$;

comment on function _expected_rollups(integer[]) is
    'The rollups of the given series (null: all), computed from the log and the totals of dropped months.';

-- For a dropped month the stored members are taken as correct; only late events can be missing. For buckets longer than a month the
-- members of dropped partitions were kept in dropped_members.
create or replace function _expected_members(scope integer[])
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
        return query select * from _recompute_members(_expected_members.scope);
        return;
    end if;
    return query
    select bucket_start, series_id, member_digest, bucket, bit_or(seen)::bit varying, null::bit varying
    from (
        select bucket_start, series_id, member_digest, bucket, seen
        from _recompute_members(_expected_members.scope)
        union all
        select d.bucket_start, d.series_id, d.member_digest, d.bucket, null
        from dropped_members d
        where _expected_members.scope is null or d.series_id = any (_expected_members.scope)
        union all
        select u.bucket_start, u.series_id, u.member_digest, u.bucket, u.seen
        from unique_members u
        where (_expected_members.scope is null or u.series_id = any (_expected_members.scope))
          and _overlaps_months(case when u.bucket in ('week', 'year', 'never') then v_unverifiable else v_dropped end,
                               u.bucket_start, _bucket_end(u.bucket, u.bucket_start))
    ) m
    group by 1, 2, 3, 4;
end
$$;

comment on function _expected_members(integer[]) is
    'The rows of unique_members of the given series (null: all), computed from the log and the kept members of dropped months.';

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
