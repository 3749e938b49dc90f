-- The buckets that a correction changes, as they are stored and as they will be: what preview_correction() shows, and what approving writes. Whether
-- its rows are in the log already makes no difference.
create or replace function _corrected_buckets(plan bucket_plan, members member_change[])
returns setof corrected_bucket
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select s.metric, s.subject, s.aggregate, b.stored,
           (s.bucket_start, (b.stored).event_count + s.counts, greatest((b.stored).last_at, s.last_at), s.series_id, 0, s.bucket,
            (b.stored).total + coalesce(m.added, s.quantity), null, null, null)::rollups
    from unnest(plan.sums) s
    left join (
        select c.series_id, c.bucket, c.bucket_start, count(*) filter (where c.after) - count(*) filter (where c.before) as added
        from unnest(members) c
        group by 1, 2, 3
    ) m on m.series_id is not distinct from s.series_id and m.bucket = s.bucket and m.bucket_start = s.bucket_start and s.aggregate = 'unique'
    cross join lateral (select _stored_bucket(s.series_id, s.bucket, s.bucket_start, 0) as stored offset 0) b
    where s.aggregate in ('sum', 'count', 'avg', 'unique');
    return query select * from _corrected_extremes(plan);
end
$$;

comment on function _corrected_buckets(bucket_plan, member_change[]) is
    'The buckets, of both kinds, that a correction changes, before and after. members: of _member_changes().';

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
