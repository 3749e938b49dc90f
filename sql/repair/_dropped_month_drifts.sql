-- A single hour of a dropped month can no longer be checked. But the sum of its hours must equal the total kept when the month was dropped,
-- plus the events that arrived later. Hash joins only, as in _rollup_drifts().
create or replace function _dropped_month_drifts(scope integer[])
returns table (series_id integer, bucket text, bucket_start timestamptz, stored rollups, recomputed rollups)
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
    v_months timestamptz[] := array(select _dropped_months() except select _unverifiable_months());
    v_end    timestamptz := (select _bucket_end('month', max(m.month)) from unnest(v_months) m (month));
begin
    if v_months = '{}' then
        return;
    end if;
    return query
    with kinds as (
        select s.series_id, m.aggregate, b.bucket
        from metrics m
        join series s on s.metric = m.key and s.stripe = 0
        cross join lateral (select m.fine_bucket union select m.coarse_bucket) b (bucket)
        where b.bucket in ('minute', 'hour', 'day')
    ), stored as (
        select series_id, bucket, _bucket_start('month', bucket_start) as month, sum(event_count)::bigint as event_count,
               max(last_at) as last_at, sum(total) as total, min(lowest) as lowest, max(highest) as highest, max(latest) as latest
        from buckets
        where bucket in ('minute', 'hour', 'day') and _bucket_start('month', bucket_start) = any (v_months)
          and (_dropped_month_drifts.scope is null or series_id = any (_dropped_month_drifts.scope))
        group by 1, 2, 3
    ), parts as (
        select d.series_id, d.month, d.event_count, d.last_at, d.total, d.lowest, d.highest, d.latest
        from dropped_rollups d
        where d.month = any (v_months) and (_dropped_month_drifts.scope is null or d.series_id = any (_dropped_month_drifts.scope))
        union all
        select e.series_id, _bucket_start('month', e.at), coalesce(c.counts, 1), e.at, e.quantity, x.quantity, x.quantity,
               case when o.event_id is null then array[extract(epoch from e.at), e.event_id, e.quantity] end
        from events e
        left join event_kinds c on c.event_id = e.event_id
        left join (select distinct event_id from _left_out_rows()) o on o.event_id = e.event_id
        cross join lateral (select case when o.event_id is null then e.quantity end as quantity) x
        where e.at < v_end and _bucket_start('month', e.at) = any (v_months)
          and (_dropped_month_drifts.scope is null or e.series_id = any (_dropped_month_drifts.scope))
    ), known as (
        select p.series_id, k.bucket, p.month, sum(p.event_count)::bigint as event_count, max(p.last_at) as last_at,
               sum(p.total) filter (where k.aggregate in ('sum', 'count', 'avg')) as total,
               min(p.lowest) filter (where k.aggregate = 'min') as lowest, max(p.highest) filter (where k.aggregate = 'max') as highest,
               max(p.latest) filter (where k.aggregate = 'last') as latest
        from parts p
        join kinds k using (series_id)
        group by 1, 2, 3
    )
    select series_id, bucket, month,
           case when s.month is not null then
               (month, s.event_count, s.last_at, series_id, 0, bucket, s.total, s.lowest, s.highest, s.latest)::rollups end,
           case when k.month is not null then
               (month, k.event_count, k.last_at, series_id, 0, bucket, k.total, k.lowest, k.highest, k.latest)::rollups end
    from (
        select s.*, coalesce(k.aggregate = 'unique', false) as is_unique from stored s left join kinds k using (series_id, bucket)
    ) s
    full join known k using (series_id, bucket, month)
    where (s.event_count, s.last_at, s.lowest, s.highest, s.latest) is distinct from (k.event_count, k.last_at, k.lowest, k.highest, k.latest)
       or not s.is_unique and s.total is distinct from k.total;
end
$$;

comment on function _dropped_month_drifts(integer[]) is
    'The dropped months of the given series (null: all) whose hours (days, minutes) do not add up to the kept total plus late events. '
    'Members cannot be added up, so for unique metrics only event counts are compared.';
