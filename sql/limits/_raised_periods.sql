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
                    where s.series_id = v_id and s.coarse_count > 0 and v_bucket = m.coarse_bucket
                      and s.coarse_start >= _period_usage.since and s.coarse_start < _period_usage.until
                    union all
                    select s.fine_start, s.fine_total
                    from series s
                    where s.series_id = v_id and s.fine_count > 0 and v_bucket <> m.coarse_bucket
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

-- Where the events of a bucket were dropped, it cannot be cut: all of it counts after an instant inside of it.
create or replace function _quantities(metric metrics, subject text, windows tstzrange[])
returns numeric[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_fine    text := (_quantities.metric).fine_bucket;
    v_dropped timestamptz[] := '{}';
begin
    if cardinality(windows) = 0 then
        return '{}';
    elsif exists (
        select from unnest(windows) w
        where lower(w) < _bucket_start('month', now()) and _bucket_start(v_fine, lower(w)) <> lower(w)
           or upper(w) < _bucket_start('month', now()) and _bucket_start(v_fine, upper(w)) <> upper(w)
    ) then
        v_dropped := array(select _dropped_months());
    end if;
    return array(
        select u.quantity
        from _bulk_usage(_quantities.metric, _quantities.subject, array(
            select _cut_window(_quantities.metric, _readable(v_fine, lower(w), v_dropped), _readable(v_fine, upper(w), v_dropped))
            from unnest(windows) with ordinality n (w, number)
            order by n.number)) u);
end
$$;

comment on function _quantities(metrics, text, tstzrange[]) is
    'The usage of a subject in each of these windows, of a sum or count. Raises 40001 as _check_all_edges() does.';

create or replace function _readable(bucket text, at timestamptz, dropped timestamptz[])
returns timestamptz
language sql
immutable
set search_path from current
as $$
    select case when _overlaps_months(dropped, _bucket_start(bucket, at), _bucket_end(bucket, _bucket_start(bucket, at)))
                then _bucket_start(bucket, at) else at end
$$;

comment on function _readable(text, timestamptz, timestamptz[]) is
    'An instant, or the start of its bucket if events of that were dropped.';
