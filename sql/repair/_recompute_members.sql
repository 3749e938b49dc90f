-- Hash joins only, as in _rollup_drifts().
create or replace function _recompute_members(scope integer[])
returns setof unique_members
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_nestloop to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with kinds as materialized (
        select s.series_id, _seen_unit(m.period, m.rollup) as unit, b.bucket
        from metrics m
        join series s on s.metric = m.key and s.stripe = 0
        cross join lateral (select _member_bucket(m.period) union select _member_bucket(m.rollup)) b (bucket)
        where m.aggregate = 'unique' and b.bucket is not null
    )
    select _bucket_start(k.bucket, l.bucket_start), l.series_id, l.member_digest, k.bucket,
           bit_or(case when k.bucket = 'month' then _seen_bit(k.unit, l.bucket_start) end)::bit varying,
           null::bit varying
    from _logged_members(_recompute_members.scope) l
    join kinds k on k.series_id = l.series_id
    group by 1, 2, 3, 4;
end
$$;

comment on function _recompute_members(integer[]) is
    'The rows of unique_members of the given series (null: all), computed from the log.';

create or replace function _logged_members(scope integer[])
returns table (series_id integer, fine text, coarse text, bucket_start timestamptz, member_digest uuid)
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_nestloop to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_series integer[] := array(
        select s.series_id
        from metrics m
        join series s on s.metric = m.key and s.stripe = 0
        where m.aggregate = 'unique' and (_logged_members.scope is null or s.series_id = any (_logged_members.scope)));
begin
    return query
    select l.series_id, l.fine, l.coarse, l.bucket_start, _digest(l.member)
    from (
        select distinct e.series_id, m.fine_bucket as fine, m.coarse_bucket as coarse, _bucket_start(m.fine_bucket, e.at) as bucket_start, e.member
        from events e
        join series s on s.series_id = e.series_id and s.stripe = 0
        join metrics m on m.key = s.metric
        where e.series_id = any (v_series) and s.series_id = any (v_series)
          and not exists (select from _left_out_rows() o where o.event_id = e.event_id)
    ) l;
    perform _check_snapshot();
end
$$;

comment on function _logged_members(integer[]) is
    'The members of each fine bucket of the given series (null: all), from the log, with the kinds of the fine and the coarse bucket.';

create or replace function _logged_member_counts(scope integer[])
returns table (series_id integer, bucket text, bucket_start timestamptz, total bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    if not exists (select from metrics where aggregate = 'unique') then
        return;
    end if;
    return query
    with members as materialized (
        select * from _logged_members(_logged_member_counts.scope)
    )
    select series_id, bucket, bucket_start, count(*)
    from (
        select series_id, fine as bucket, bucket_start, member_digest from members
        union
        select series_id, coarse, _bucket_start(coarse, bucket_start), member_digest from members
    ) l
    group by 1, 2, 3;
end
$$;

comment on function _logged_member_counts(integer[]) is
    'How many members the log has in each bucket, of both kinds, of the given series (null: all).';
