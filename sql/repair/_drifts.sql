-- One statement and so one snapshot, which sees either both an event and its rollup, or neither: they commit together. The stripes of a
-- bucket are merged before they are compared.
-- Hash joins only: a merge join would sort texts, which costs more, and without statistics a nested loop would read all rollups of an hour
-- for every striped one.
create or replace function _rollup_drifts(subject text, metric text, with_members boolean)
returns table (drift rollup_drift, striped boolean, place tid)
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
    -- Nearly always false; the custom plan then omits everything about stripes.
    v_stripes boolean := exists (select from rollups where stripe > 0);
begin
    return query
    with striped as materialized (
        select distinct subject, metric, bucket, bucket_start from rollups where stripe > 0
    ), stored as (
        select t.subject, t.metric, t.bucket, t.bucket_start, t as rollup, false as striped, t.ctid as place
        from rollups t
        left join (select * from striped where v_stripes) x using (subject, metric, bucket, bucket_start)
        where x.subject is null
          and (_rollup_drifts.subject is null or t.subject = _rollup_drifts.subject)
          and (_rollup_drifts.metric is null or t.metric = _rollup_drifts.metric)
        union all
        select subject, metric, bucket, bucket_start,
               (bucket_start, sum(event_count), max(last_at),
                (array_agg(last_event_id order by last_at desc, last_event_id desc nulls last))[1], 0, subject, metric, bucket,
                sum(total), min(lowest), max(highest),
                (array_agg(latest order by last_at desc, last_event_id desc nulls last))[1])::rollups,
               true, null
        from rollups t
        join striped using (subject, metric, bucket, bucket_start)
        where v_stripes
          and (_rollup_drifts.subject is null or t.subject = _rollup_drifts.subject)
          and (_rollup_drifts.metric is null or t.metric = _rollup_drifts.metric)
        group by subject, metric, bucket, bucket_start
    ), recomputed as (
        select t.subject, t.metric, t.bucket, t.bucket_start, t as rollup
        from _expected_rollups(_rollup_drifts.subject, _rollup_drifts.metric) t
    )
    select (subject, metric, bucket, bucket_start, s.rollup, case when x.explained then r.rollup else s.rollup end,
            m.bucket is not null)::rollup_drift,
           coalesce(s.striped, false), s.place
    from stored s
    full join recomputed r using (subject, metric, bucket, bucket_start)
    full join (
        select * from _member_drift_buckets(_rollup_drifts.subject, _rollup_drifts.metric) where _rollup_drifts.with_members
    ) m using (subject, metric, bucket, bucket_start)
    cross join lateral (
        select v_dropped = '{}' or not _overlaps_months(
            case when bucket in ('week', 'month', 'year', 'never') then v_unverifiable else v_dropped end,
            bucket_start, _bucket_end(bucket, bucket_start)) as explained
    ) x
    where s.rollup is distinct from r.rollup and x.explained or m.bucket is not null;
end
$$;

comment on function _rollup_drifts(text, text, boolean) is
    'Rollups of one subject and metric (null: all) that differ from the log and the totals of dropped months; with_members: also those '
    'whose members differ. striped: the stored value is the sum of several rows; place: the ctid of the row.';

create or replace function _member_drift_buckets(subject text, metric text)
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
        from _member_drifts(_member_drift_buckets.subject, _member_drift_buckets.metric) d
        left join metrics m on m.key = d.metric
    )
    -- The row of a month is reported as the month if months are buckets of the metric, or if no bit shows which hour or day differs.
    select subject, metric, bucket, bucket_start
    from drifts
    where (stored <> logged and bucket in (period, rollup)) or coalesce(bit_count(differing), 0) = 0
    union
    select subject, metric, unit, s.unit_start
    from (
        select subject, metric, unit, bucket_start, bit_or(differing) as differing
        from drifts
        where unit is not null
        group by subject, metric, unit, bucket_start
    ) d
    cross join lateral (
        select d.bucket_start + i * case d.unit when 'hour' then interval '1 hour' else interval '24 hours' end
        from generate_series(0, length(d.differing) - 1) i
        where get_bit(d.differing, i) = 1
    ) s (unit_start);
end
$$;

comment on function _member_drift_buckets(text, text) is
    'The buckets of one subject and metric (null: all) whose members differ from the log.';

create or replace function _member_drifts(subject text, metric text)
returns setof member_drift
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    select subject, metric, bucket, bucket_start, member_digest, s.present is not null, l.present is not null,
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
        where (_member_drifts.subject is null or u.subject = _member_drifts.subject)
          and (_member_drifts.metric is null or u.metric = _member_drifts.metric)
    ) s
    full join (
        select true as present, u.* from _expected_members(_member_drifts.subject, _member_drifts.metric) u
    ) l using (subject, metric, bucket, bucket_start, member_digest)
    where s.present is null or l.present is null or s.seen is distinct from l.seen;
end
$$;

comment on function _member_drifts(text, text) is
    'The rows of unique_members of one subject and metric (null: all) that are missing, have no event, or differ from the log.';
