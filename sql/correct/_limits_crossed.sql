-- The preview reads before the correction is written, approving after that: what changes is taken from the buckets of the correction, both before and
-- after, and only what stays from the tables. So both say the same.
create or replace function _limits_crossed(metric metrics, subject text, period_start timestamptz, buckets corrected_bucket[])
returns text[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    m       metrics := _limits_crossed.metric;
    v_until timestamptz := _bucket_end(m.period, _limits_crossed.period_start);
    v_times timestamptz[] := array(
        select (b.after).bucket_start from unnest(buckets) b
        where (b.after).bucket = m.fine_bucket
          and (b.after).bucket_start >= _limits_crossed.period_start and (b.after).bucket_start < v_until);
    v_now   timestamptz := clock_timestamp();
begin
    return array(
        select distinct e.name
        from (
            select distinct e.limit_id, e.name, e.period, e.quota, e.since, e.until
            from unnest(_limited_times(m, _limits_crossed.subject, v_times)) t
            cross join lateral _effective_limits(m, _limits_crossed.subject, t, v_now) e
            where e.counts and e.quota is not null and t >= e.since and t < coalesce(e.until, 'infinity')
        ) e
        cross join lateral _used_before_and_after(m, e.period, e.since, coalesce(e.until, 'infinity'), buckets) u
        where (u.before >= e.quota) <> (u.after >= e.quota)
        order by 1);
end
$$;

comment on function _limits_crossed(metrics, text, timestamptz, corrected_bucket[]) is
    'The names of the limits whose usage goes from below the quota to at least the quota, or back, in a period of the limit that contains usage '
    'which a correction changes in this period of the metric. buckets: all of this metric and subject that the correction changes. Limits whose '
    'periods begin within a fine bucket are left out; of a unique metric, also those whose period is no bucket of the metric.';

-- Nothing but whole buckets is read. Members of several buckets do not add up.
create or replace function _used_before_and_after(
    metric metrics, period text, since timestamptz, until timestamptz, buckets corrected_bucket[], out before numeric, out after numeric
)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    m        metrics := _used_before_and_after.metric;
    v_series integer := (buckets[1].after).series_id;
    v_bucket text := case
        when _used_before_and_after.period in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never')
            then _period_bucket(m, _used_before_and_after.period)
        when _bucket_start(m.fine_bucket, since) = since and (until = 'infinity' or _bucket_start(m.fine_bucket, until) = until)
            then m.fine_bucket end;
begin
    if v_bucket is null or m.aggregate = 'unique' and v_bucket <> _used_before_and_after.period then
        return;
    end if;
    with changed as materialized (
        select b.before, b.after from unnest(buckets) b
        where (b.after).bucket = v_bucket and (b.after).bucket_start >= since and (b.after).bucket_start < until
    ), other as materialized (
        select * from _other_buckets(v_series, v_bucket, since, until, array(select (c.after).bucket_start from changed c))
    )
    select coalesce(max(q.quantity) filter (where q.n = 1), 0), coalesce(max(q.quantity) filter (where q.n = 2), 0) into before, after
    from (
        select p.n, _quantity(m.aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest), (max(p.latest))[3]) as quantity
        from (
            select n, o.event_count, o.total, o.lowest, o.highest, o.latest from other o, generate_series(1, 2) n
            union all
            select 1, (c.before).event_count, (c.before).total, (c.before).lowest, (c.before).highest, (c.before).latest from changed c
            union all
            select 2, (c.after).event_count, (c.after).total, (c.after).lowest, (c.after).highest, (c.after).latest from changed c
        ) p
        group by p.n
    ) q;
end
$$;

comment on function _used_before_and_after(metrics, text, timestamptz, timestamptz, corrected_bucket[]) is
    'What is used of a limit in its period [since, until) before and after a correction, given the buckets of the series that it changes; nulls if '
    'whole buckets do not tell.';
