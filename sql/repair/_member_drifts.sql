create or replace function _member_drift_buckets(scope integer[])
returns table (series_id integer, bucket text, bucket_start timestamptz)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    with drifts as materialized (
        select d.*, m.period, m.rollup,
               case length(coalesce(d.logged_seen, d.stored_seen)) when 744 then 'hour' when 31 then 'day' end as unit,
               case
                   when length(d.stored_seen) = length(d.logged_seen) then d.stored_seen # d.logged_seen
                   else coalesce(d.logged_seen, d.stored_seen)
               end as differing
        from _member_drifts(_member_drift_buckets.scope) d
        left join series s on s.series_id = d.series_id and s.stripe = 0
        left join metrics m on m.key = s.metric
    )
    -- The row of a month is reported as the month if months are buckets of the metric, or if no bit shows which hour or day differs.
    select series_id, bucket, bucket_start
    from drifts
    where (stored <> logged and bucket in (period, rollup)) or coalesce(bit_count(differing), 0) = 0
    union
    select series_id, unit, s.unit_start
    from (
        select series_id, unit, bucket_start, bit_or(differing) as differing
        from drifts
        where unit is not null
        group by series_id, unit, bucket_start
    ) d
    cross join lateral (
        select d.bucket_start + i * case d.unit when 'hour' then interval '1 hour' else interval '24 hours' end
        from generate_series(0, length(d.differing) - 1) i
        where get_bit(d.differing, i) = 1
    ) s (unit_start);
end
$$;

comment on function _member_drift_buckets(integer[]) is
    'The buckets of the given series (null: all) whose members differ from the log.';

create or replace function _member_drifts(scope integer[])
returns setof member_drift
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    select series_id, bucket, bucket_start, member_digest, s.present is not null, l.present is not null,
           case
               when s.present is null then false
               when l.present is null then true
               when length(s.seen) = length(l.seen) then s.seen & l.seen <> s.seen
               else true
           end,
           s.seen, l.seen
    from (
        select true as present, u.*
        from unique_members u
        where _member_drifts.scope is null or u.series_id = any (_member_drifts.scope)
    ) s
    full join (
        select true as present, u.* from _expected_members(_member_drifts.scope) u
    ) l using (series_id, bucket, bucket_start, member_digest)
    where s.present is null or l.present is null or s.seen is distinct from l.seen;
end
$$;

comment on function _member_drifts(integer[]) is
    'The rows of unique_members of the given series (null: all) that are missing, have no event, or differ from the log.';
