-- One statement and so one snapshot, which sees either both an event and its buckets, or neither: they commit together. The rows of a bucket
-- are added up before they are compared, which is needed only if there are stripes or misplaced buckets.
-- Hash joins only: without statistics a nested loop would read all rollups of an hour for each of them.
create or replace function _rollup_drifts(scope integer[], with_members boolean)
returns table (series_id integer, bucket text, bucket_start timestamptz, stored rollups, recomputed rollups, members_drift boolean,
               version bigint)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_mergejoin to off
set enable_nestloop to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_dropped      timestamptz[] := array(select _dropped_months());
    v_unverifiable timestamptz[] := array(select _unverifiable_months());
    v_kept         boolean := exists (select from dropped_rollups);
    v_misplaced    integer[] := array(select distinct series_id from _misplaced_buckets(_rollup_drifts.scope));
    v_several      boolean := v_misplaced <> '{}' or exists (select from rollups where stripe > 0) or exists (select from series where stripe > 0);
begin
    return query
    with stored as not materialized (
        select series_id, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest
        from buckets
        where not v_several and (_rollup_drifts.scope is null or series_id = any (_rollup_drifts.scope))
        union all
        select series_id, bucket, bucket_start, sum(event_count)::bigint, max(last_at), sum(total), min(lowest), max(highest), max(latest)
        from buckets
        where v_several and (_rollup_drifts.scope is null or series_id = any (_rollup_drifts.scope))
        group by 1, 2, 3
    ), recomputed as not materialized (
        select * from _recompute_rollups(_rollup_drifts.scope) where not v_kept
        union all
        select * from _expected_rollups(_rollup_drifts.scope) where v_kept
    ), flags as (
        select series_id, bucket, bucket_start, bool_or(of_members) as of_members, bool_or(not of_members) as of_place
        from (
            select *, true as of_members from _member_drift_buckets(_rollup_drifts.scope) where _rollup_drifts.with_members
            union all
            select *, false from _misplaced_buckets(v_misplaced) where v_misplaced <> '{}'
        ) f
        group by 1, 2, 3
    )
    select series_id, bucket, bucket_start, x.stored, case when x.explained then x.recomputed else x.stored end,
           coalesce(f.of_members, false), v.version
    from stored s
    full join recomputed r using (series_id, bucket, bucket_start)
    full join flags f using (series_id, bucket, bucket_start)
    left join (select series_id, sum(version)::bigint as version from series group by series_id) v using (series_id)
    cross join lateral (
        select v_dropped = '{}' or not _overlaps_months(
                   case when bucket in ('week', 'month', 'year', 'never') then v_unverifiable else v_dropped end,
                   bucket_start, _bucket_end(bucket, bucket_start)) as explained,
               case when s.event_count is not null then
                   (bucket_start, s.event_count, s.last_at, series_id, 0, bucket, s.total, s.lowest, s.highest, s.latest)::rollups end as stored,
               case when r.event_count is not null then
                   (bucket_start, r.event_count, r.last_at, series_id, 0, bucket, r.total, r.lowest, r.highest, r.latest)::rollups end as recomputed
    ) x
    where (s.event_count, s.last_at, s.total, s.lowest, s.highest, s.latest)
          is distinct from (r.event_count, r.last_at, r.total, r.lowest, r.highest, r.latest) and x.explained
       or f.of_members or f.of_place;
end
$$;

comment on function _rollup_drifts(integer[], boolean) is
    'The buckets of the given series (null: all) that differ from the log and the totals of dropped months, or are misplaced; with_members: '
    'also those whose members differ. version: the sum of the versions of the rows of the series.';

-- What recording would add to twice, or not at all. It looks up rollups for each row of series, by index whatever the statistics say.
create or replace function _misplaced_buckets(scope integer[])
returns table (series_id integer, bucket text, bucket_start timestamptz)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select s.series_id, o.bucket, p.bucket_start
    from series s
    join metrics m on m.key = s.metric
    cross join lateral (
        values (m.fine_bucket, s.fine_start, s.fine_end), (m.coarse_bucket, s.coarse_start, s.coarse_end)
    ) o (bucket, opened, closes)
    cross join lateral (
        select r.bucket_start
        from rollups r
        where r.series_id = s.series_id and r.bucket = o.bucket and r.bucket_start >= o.opened and r.stripe = s.stripe
          and (r.bucket_start = o.opened or r.bucket_start > s.ahead_at or s.ahead_at is null)
        union all
        select o.opened
        where o.opened <> _bucket_start(o.bucket, s.fine_start) or o.closes <> _bucket_end(o.bucket, o.opened)
        offset 0
    ) p
    where _misplaced_buckets.scope is null or s.series_id = any (_misplaced_buckets.scope);
end
$$;

comment on function _misplaced_buckets(integer[]) is
    'The buckets of the given series (null: all) that stand in rollups although they, or an earlier one, are open in the same stripe; and the '
    'open ones that do not begin and end as the metric''s definition says.';
