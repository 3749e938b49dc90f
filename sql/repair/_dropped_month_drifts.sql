-- A single hour of a dropped month can no longer be checked. But the sum of its hours must equal the total kept when the month was dropped,
-- plus the events that arrived later.
create or replace function _dropped_month_drifts(subject text, metric text)
returns setof rollup_drift
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set enable_mergejoin to off
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
        select m.key, m.aggregate, b.bucket
        from metrics m
        cross join lateral (select m.period union select m.rollup) b (bucket)
        where b.bucket in ('minute', 'hour', 'day')
    ), stored as (
        select r.subject, r.metric, r.bucket, _bucket_start('month', r.bucket_start) as month, sum(r.event_count)::bigint as event_count,
               max(r.last_at) as last_at, sum(r.total) as total, min(r.lowest) as lowest, max(r.highest) as highest,
               max(array[extract(epoch from r.last_at), r.last_event_id, r.latest]) filter (where r.latest is not null) as last
        from rollups r
        where r.bucket in ('minute', 'hour', 'day') and _bucket_start('month', r.bucket_start) = any (v_months)
          and (_dropped_month_drifts.subject is null or r.subject = _dropped_month_drifts.subject)
          and (_dropped_month_drifts.metric is null or r.metric = _dropped_month_drifts.metric)
        group by 1, 2, 3, 4
    ), parts as (
        select d.subject, d.metric, d.month, d.event_count, d.last_at, d.total, d.lowest, d.highest,
               case when d.latest is not null then array[extract(epoch from d.last_at), d.last_event_id, d.latest] end as last
        from dropped_rollups d
        where d.month = any (v_months)
          and (_dropped_month_drifts.subject is null or d.subject = _dropped_month_drifts.subject)
          and (_dropped_month_drifts.metric is null or d.metric = _dropped_month_drifts.metric)
        union all
        select e.subject, e.metric, _bucket_start('month', e.at), 1, e.at, e.quantity, e.quantity, e.quantity,
               array[extract(epoch from e.at), e.event_id, e.quantity]
        from events e
        where e.at < v_end and _bucket_start('month', e.at) = any (v_months)
          and (_dropped_month_drifts.subject is null or e.subject = _dropped_month_drifts.subject)
          and (_dropped_month_drifts.metric is null or e.metric = _dropped_month_drifts.metric)
    ), known as (
        select p.subject, p.metric, k.bucket, p.month, sum(p.event_count)::bigint as event_count, max(p.last_at) as last_at,
               sum(p.total) filter (where k.aggregate in ('sum', 'count', 'avg')) as total,
               min(p.lowest) filter (where k.aggregate = 'min') as lowest, max(p.highest) filter (where k.aggregate = 'max') as highest,
               max(p.last) filter (where k.aggregate = 'last') as last
        from parts p
        join kinds k on k.key = p.metric
        group by 1, 2, 3, 4
    )
    select subject, metric, bucket, month,
           case when s.month is not null then (month, s.event_count, s.last_at, s.last[2], 0, subject, metric, bucket,
               s.total, s.lowest, s.highest, s.last[3])::rollups end,
           case when k.month is not null then (month, k.event_count, k.last_at, k.last[2], 0, subject, metric, bucket,
               k.total, k.lowest, k.highest, k.last[3])::rollups end, false
    from (select s.*, m.aggregate = 'unique' as is_unique from stored s left join metrics m on m.key = s.metric) s
    full join known k using (subject, metric, bucket, month)
    where (s.event_count, s.last_at, s.lowest, s.highest, s.last) is distinct from (k.event_count, k.last_at, k.lowest, k.highest, k.last)
       or not coalesce(s.is_unique, false) and s.total is distinct from k.total;
end
$$;

comment on function _dropped_month_drifts(text, text) is
    'The dropped months of one subject and metric (null: all) whose hours (days, minutes) do not add up to the kept total plus late '
    'events. Members cannot be added up, so for unique metrics only event counts are compared.';
