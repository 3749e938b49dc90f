-- Reads the rollups of a metric's finer kind of bucket, newest first, and stops early: all events of a bucket are later than those of the
-- buckets before it. Each kind of bucket is searched separately, because buckets of different kinds overlap.
create or replace function subjects(max_rows integer default 100)
returns setof subject_activity
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('subjects') then perform _check_caller('subjects'); end if;
    perform _check_max_rows(subjects.max_rows);
    return query
        select a.subject, max(a.last_activity_at)
        from (select distinct _fine_bucket(period, rollup) as bucket from metrics) kind
        cross join lateral _newest_subjects(kind.bucket, subjects.max_rows) a
        group by a.subject
        order by 2 desc, 1
        limit subjects.max_rows;
end
$$;

comment on function subjects(integer) is
    'Returns the subjects whose latest events are the most recent ones, most recent first. max_rows: 1 to 10,000. Raises 22004 or '
    '22023 for an invalid max_rows. '
    'Example: SELECT subject FROM meter.subjects(max_rows => 10);';
