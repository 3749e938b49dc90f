-- The fine buckets concerned are read from the log; coarse ones are put together from these and the other fine ones.
create or replace function _corrected_extremes(steps correction_step[])
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
    return query
    with changed as materialized (
        select c.*, b.stored
        from _step_sums(steps, '{min,max,last}') c
        cross join lateral (select _stored_bucket(c.series_id, c.bucket, c.bucket_start, null) as stored offset 0) b
    ), counted as materialized (
        select e.metric, e.subject, e.bucket_start, min(e.quantity) as lowest, max(e.quantity) as highest,
               max(_latest(e.at, e.event_id, e.quantity)) filter (where m.aggregate = 'last') as latest
        from _counted_with(steps, '{min,max,last}') e
        join metrics m on m.key = e.metric
        group by 1, 2, 3
    ), fine as materialized (
        select c.metric, c.subject, c.aggregate, c.stored,
               (c.bucket_start, (c.stored).event_count + c.counts, greatest((c.stored).last_at, c.last_at), c.series_id, 0, c.bucket, null,
                case c.aggregate when 'min' then l.lowest end, case c.aggregate when 'max' then l.highest end,
                case c.aggregate when 'last' then l.latest end)::rollups as corrected
        from changed c
        left join counted l on l.metric = c.metric and l.subject = c.subject and l.bucket_start = c.bucket_start
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
            from _other_fine_buckets(c.metric, c.series_id, c.bucket_start, _bucket_end(c.bucket, c.bucket_start), array(
                select (f.corrected).bucket_start from fine f where f.metric = c.metric and f.subject = c.subject)) r
        ) p
        offset 0
    ) o
    where not c.is_fine;
end
$$;

comment on function _corrected_extremes(correction_step[]) is 'What _corrected_buckets() returns for min, max and last.';

create or replace function _other_fine_buckets(metric text, series_id integer, since timestamptz, until timestamptz, starts timestamptz[])
returns setof rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_fine text := (select m.fine_bucket from metrics m where m.key = _other_fine_buckets.metric);
begin
    return query
    select r.*
    from (
        select r.*
        from rollups r
        where r.series_id = _other_fine_buckets.series_id and r.bucket = v_fine and r.bucket_start >= since and r.bucket_start < until
        union all
        select h.* from _open_halves(array[_other_fine_buckets.series_id]) h
        where h.bucket = v_fine and h.bucket_start >= since and h.bucket_start < until
    ) r
    where r.bucket_start <> all (starts);
end
$$;

comment on function _other_fine_buckets(text, integer, timestamptz, timestamptz, timestamptz[]) is
    'The fine buckets of a series that start in [since, until), without those that start at the given times.';
