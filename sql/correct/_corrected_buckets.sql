-- The buckets that steps change, as they are stored and as they will be: what preview_correction() shows, and what approving writes. Whether the
-- rows are in the log already makes no difference.
create or replace function _corrected_buckets(steps correction_step[])
returns setof corrected_bucket
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_aggregates text[] := array(select distinct m.aggregate from metrics m where m.key in (select s.metric from unnest(steps) s));
begin
    return query select * from _corrected_sums(steps) where v_aggregates && '{sum,count,avg}';
    return query select * from _corrected_extremes(steps) where v_aggregates && '{min,max,last}';
    return query select * from _corrected_members(steps) where v_aggregates && '{unique}';
end
$$;

comment on function _corrected_buckets(correction_step[]) is
    'The buckets, of both kinds, that rows which a correction writes change, before and after.';

create or replace function _corrected_sums(steps correction_step[])
returns setof corrected_bucket
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select d.metric, d.subject, d.aggregate, b.stored,
           (d.bucket_start, (b.stored).event_count + d.counts, greatest((b.stored).last_at, d.last_at), d.series_id, 0, d.bucket,
            (b.stored).total + d.quantity, null, null, null)::rollups
    from _step_sums(steps, '{sum,count,avg}') d
    cross join lateral (select _stored_bucket(d.series_id, d.bucket, d.bucket_start, 0) as stored offset 0) b;
end
$$;

comment on function _corrected_sums(correction_step[]) is 'What _corrected_buckets() returns for metrics whose events add up.';

-- Rows are added up by fine bucket first: coarse ones are sums of these.
create or replace function _step_sums(steps correction_step[], aggregates text[])
returns table (metric text, subject text, aggregate text, series_id integer, bucket text, bucket_start timestamptz, is_fine boolean,
               counts bigint, last_at timestamptz, quantity numeric)
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with fine as materialized (
        select s.metric, s.subject, s.series_id, m.aggregate, m.fine_bucket, m.coarse_bucket, _bucket_start(m.fine_bucket, s.at) as fine_start,
               sum(s.counts)::bigint as counts, max(s.at) as last_at, sum(s.quantity) as quantity
        from unnest(steps) s
        join metrics m on m.key = s.metric
        where s.kind is not null and m.aggregate = any (_step_sums.aggregates)
        group by 1, 2, 3, 4, 5, 6, 7
    )
    select f.metric, f.subject, f.aggregate, f.series_id, b.bucket, b.bucket_start, b.bucket = f.fine_bucket, sum(f.counts)::bigint,
           max(f.last_at), sum(f.quantity)
    from fine f
    cross join lateral (
        select f.fine_bucket as bucket, f.fine_start as bucket_start
        union all
        select f.coarse_bucket, _bucket_start(f.coarse_bucket, f.fine_start) where f.coarse_bucket <> f.fine_bucket
    ) b
    group by f.metric, f.subject, f.aggregate, f.series_id, b.bucket, b.bucket_start, f.fine_bucket;
end
$$;

comment on function _step_sums(correction_step[], text[]) is 'What rows that a correction writes add to each bucket, of metrics of some aggregates.';

create or replace function _stored_bucket(series_id integer, bucket text, bucket_start timestamptz, empty numeric)
returns rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_stored rollups;
begin
    select _stored_bucket.bucket_start, coalesce(sum(p.event_count), 0), coalesce(max(p.last_at), '-infinity'), _stored_bucket.series_id, 0,
           _stored_bucket.bucket, coalesce(sum(p.total), empty), min(p.lowest), max(p.highest), max(p.latest)
    into v_stored
    from (
        select r.*
        from rollups r
        where r.series_id = _stored_bucket.series_id and r.bucket = _stored_bucket.bucket and r.bucket_start = _stored_bucket.bucket_start
        union all
        select h.* from _open_halves(array[_stored_bucket.series_id]) h
        where h.bucket = _stored_bucket.bucket and h.bucket_start = _stored_bucket.bucket_start
          -- Asked first, once: few buckets are open.
          and exists (
              select from series s
              where s.series_id = _stored_bucket.series_id and _stored_bucket.bucket_start in (s.fine_start, s.coarse_start))
    ) p;
    return v_stored;
end
$$;

comment on function _stored_bucket(integer, text, timestamptz, numeric) is
    'A bucket of a series, all stripes together. empty: the total of one that has no rows, or is not there.';
