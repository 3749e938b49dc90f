-- The fine buckets concerned are read from the log; coarse ones are put together from these and the other fine ones.
create or replace function _corrected_extremes(plan bucket_plan)
returns setof corrected_bucket
language plpgsql
stable
set search_path from current
set enable_mergejoin to off
set enable_nestloop to on
set jit to off
as $$
#variable_conflict use_column
begin
    if not exists (select from unnest(plan.sums) s where s.aggregate in ('min', 'max', 'last')) then
        return;
    end if;
    return query
    with changed as materialized (
        select c.*, b.stored
        from unnest(plan.sums) c
        cross join lateral (select _stored_bucket(c.series_id, c.bucket, c.bucket_start, null) as stored offset 0) b
        where c.aggregate in ('min', 'max', 'last')
    ), counted as materialized (
        select e.series_id, e.bucket_start, min(e.quantity) filter (where e.aggregate = 'min') as lowest,
               max(e.quantity) filter (where e.aggregate = 'max') as highest,
               max(_latest(e.at, e.event_id, e.quantity)) filter (where e.aggregate = 'last') as latest
        from _logged_besides(plan, '{min,max,last}') e
        group by 1, 2
    ), fine as materialized (
        select c.metric, c.subject, c.aggregate, c.stored,
               (c.bucket_start, (c.stored).event_count + c.counts, greatest((c.stored).last_at, c.last_at), c.series_id, 0, c.bucket, null,
                least(l.lowest, r.lowest), greatest(l.highest, r.highest), greatest(l.latest, r.latest))::rollups as corrected
        from changed c
        left join counted l on l.series_id = c.series_id and l.bucket_start = c.bucket_start
        left join unnest(plan.recorded) r on r.series_id = c.series_id and r.bucket_start = c.bucket_start
        where c.is_fine
    )
    select f.metric, f.subject, f.aggregate, f.stored, f.corrected from fine f
    union all
    select c.metric, c.subject, c.aggregate, c.stored,
           (c.bucket_start, (c.stored).event_count + c.counts, greatest((c.stored).last_at, c.last_at), c.series_id, 0, c.bucket, null,
            o.lowest, o.highest, o.latest)::rollups
    from changed c
    cross join lateral (
        select min(p.lowest) as lowest, max(p.highest) as highest, max(p.latest) as latest
        from (
            select (f.corrected).lowest, (f.corrected).highest, (f.corrected).latest
            from fine f
            where f.metric = c.metric and f.subject = c.subject
              and (f.corrected).bucket_start >= c.bucket_start and (f.corrected).bucket_start < _bucket_end(c.bucket, c.bucket_start)
            union all
            select r.lowest, r.highest, r.latest
            from _other_buckets(c.series_id, (select m.fine_bucket from metrics m where m.key = c.metric), c.bucket_start,
                                _bucket_end(c.bucket, c.bucket_start), array(
                select (f.corrected).bucket_start from fine f where f.metric = c.metric and f.subject = c.subject)) r
        ) p
        offset 0
    ) o
    where not c.is_fine;
end
$$;

comment on function _corrected_extremes(bucket_plan) is 'What _corrected_buckets() returns for min, max and last.';

create or replace function _other_buckets(series_id integer, bucket text, since timestamptz, until timestamptz, starts timestamptz[])
returns setof rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select r.*
    from (
        select r.*
        from rollups r
        where r.series_id = _other_buckets.series_id and r.bucket = _other_buckets.bucket and r.bucket_start >= since and r.bucket_start < until
        union all
        select h.* from _open_halves(array[_other_buckets.series_id]) h
        where h.bucket = _other_buckets.bucket and h.bucket_start >= since and h.bucket_start < until
    ) r
    where r.bucket_start <> all (starts);
end
$$;

comment on function _other_buckets(integer, text, timestamptz, timestamptz, timestamptz[]) is
    'The buckets of one kind of a series that start in [since, until), without those that start at the given times.';
