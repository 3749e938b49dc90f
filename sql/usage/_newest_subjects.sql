create or replace function _newest_subjects(bucket text, max_rows integer)
returns setof subject_activity
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rows     bigint := _newest_subjects.max_rows;
    v_read     bigint;
    v_subjects bigint;
    v_since    timestamptz;
begin
    -- Read four times as many rows each time, until there are enough different subjects or no more rows.
    loop
        select count(*), count(distinct n.subject), min(n.bucket_start)
        into v_read, v_subjects, v_since
        from (
            select r.subject, r.bucket_start
            from rollups r
            where r.bucket = _newest_subjects.bucket
            order by r.bucket_start desc
            limit v_rows
        ) n;
        exit when v_subjects >= _newest_subjects.max_rows or v_read < v_rows;
        v_rows := v_rows * 4;
    end loop;
    return query
        select r.subject, max(r.last_at)
        from rollups r
        where r.bucket = _newest_subjects.bucket and r.bucket_start >= v_since
        group by r.subject
        order by 2 desc, 1
        limit _newest_subjects.max_rows;
end
$$;

comment on function _newest_subjects(text, integer) is 'Returns the most recently active subjects, by the rollups of one kind of bucket.';
