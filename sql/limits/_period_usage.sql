-- What is used in each period of the limit. Where periods are made of buckets of rollups, those without usage are left out.
create or replace function _period_usage(metric metrics, series series, period text, since timestamptz, until timestamptz)
returns table (period_since timestamptz, period_until timestamptz, used numeric)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    m        metrics := _period_usage.metric;
    v_id     integer := (_period_usage.series).series_id;
    v_bucket text := _period_bucket(m, _period_usage.period);
    v_at     timestamptz := _period_usage.since;
    v_tiles  tstzrange[] := '{}';
    v_tile   record;
begin
    if v_id is null then
        return;
    elsif v_bucket is not null then
        return query
            select p.start, nullif(_bucket_end(_period_usage.period, p.start), 'infinity'), p.used
            from (
                select _bucket_start(_period_usage.period, b.bucket_start) as start, sum(b.total) as used
                from (
                    select r.bucket_start, r.total
                    from rollups r
                    where r.series_id = v_id and r.bucket = v_bucket and r.bucket_start >= _period_usage.since
                      and r.bucket_start < _period_usage.until
                    union all
                    select s.coarse_start, s.coarse_total
                    from series s
                    where s.series_id = v_id and s.coarse_last_at > '-infinity' and v_bucket = m.coarse_bucket
                      and s.coarse_start >= _period_usage.since and s.coarse_start < _period_usage.until
                    union all
                    select s.fine_start, s.fine_total
                    from series s
                    where s.series_id = v_id and s.fine_last_at > '-infinity' and v_bucket <> m.coarse_bucket
                      and s.fine_start >= _period_usage.since and s.fine_start < _period_usage.until
                ) b
                group by 1
            ) p;
        return;
    end if;
    while v_at < _period_usage.until loop
        v_tile := _limit_window(m, _period_usage.period, (_period_usage.series).subject, v_at, v_at);
        v_tiles := v_tiles || tstzrange(v_tile.since, v_tile.until);
        v_at := coalesce(v_tile.until, 'infinity');
    end loop;
    return query
        select lower(t.tile), upper(t.tile), t.quantity
        from unnest(v_tiles, _quantities(m, (_period_usage.series).subject, v_tiles)) t (tile, quantity);
end
$$;

comment on function _period_usage(metrics, series, text, timestamptz, timestamptz) is
    'What a series has used in each period of a limit that starts in [since, until); since is the start of a period. until may be infinity only if '
    '_period_bucket() finds a bucket. The periods are not in order.';

create or replace function _period_bucket(metric metrics, period text)
returns text
language sql
immutable
set search_path from current
as $$
    select b.bucket
    from unnest(array[metric.coarse_bucket, metric.fine_bucket]) with ordinality b (bucket, n)
    where b.bucket = period or period = 'never'
       or b.bucket <> 'week' and array_position(array['minute', 'hour', 'day', 'month', 'year'], b.bucket)
                               < array_position(array['minute', 'hour', 'day', 'month', 'year'], period)
       or b.bucket in ('minute', 'hour', 'day') and period = 'week'
    order by b.n
    limit 1
$$;

comment on function _period_bucket(metrics, text) is
    'The longest bucket of a metric''s rollups of which the periods of a limit are made; null if they begin within buckets.';
