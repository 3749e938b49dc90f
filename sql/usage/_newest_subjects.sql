-- A bucket's events are all later than those of the buckets of its kind before it, so rollups are read from the newest one on, until the
-- page is full. Kinds are read one by one, since their buckets do not line up. Behind a cursor most rollups may be of subjects that have
-- been active since: those belong to earlier pages.
create or replace function _newest_subjects(
    buckets text[], max_rows integer, after_at timestamptz, after_subject text, max_read bigint)
returns subject_activity[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_after_at timestamptz := coalesce(_newest_subjects.after_at, 'infinity');
    v_keys     text[];
    v_buckets  text[];
    v_starts   timestamptz[];
    v_bucket   text;
    v_rows     bigint;
    v_read     bigint;
    v_since    timestamptz;
    v_done     timestamptz;  -- whose newest rollup starts from here on has been looked at
    v_next     subject_activity;
    v_page     subject_activity[];
    v_found    subject_activity[] := '{}';
begin
    select array_agg(m.key), array_agg(b.bucket), array_agg(_bucket_start(b.bucket, v_after_at))
    into v_keys, v_buckets, v_starts
    from metrics m
    cross join lateral (select m.fine_bucket) b (bucket)
    where _newest_subjects.after_subject is not null;
    foreach v_bucket in array _newest_subjects.buckets loop
        v_rows := _newest_subjects.max_rows;
        v_page := '{}';
        v_done := 'infinity';
        loop
            select count(*), min(n.bucket_start)
            into v_read, v_since
            from (
                select r.bucket_start
                from rollups r
                where r.bucket = v_bucket and r.bucket_start <= v_after_at
                order by r.bucket_start desc
                limit v_rows
            ) n;
            for v_next in
                select r.subject, max(r.last_at)
                from rollups r
                where r.bucket = v_bucket and r.bucket_start >= v_since and r.bucket_start <= v_after_at
                group by r.subject
                having max(r.last_at) <= v_after_at and max(r.bucket_start) < v_done
                order by 2 desc, 1
            loop
                if _newest_subjects.after_subject is not null then
                    continue when v_next.last_activity_at = v_after_at and v_next.subject <= _newest_subjects.after_subject
                        or exists (
                            select from unnest(v_keys, v_buckets, v_starts) m (key, bucket, bucket_start)
                            cross join lateral (
                                select from rollups r
                                where r.subject = v_next.subject and r.metric = m.key and r.bucket = m.bucket
                                  and r.bucket_start >= m.bucket_start and r.last_at >= v_after_at
                                  and (r.last_at > v_after_at or v_next.subject <= _newest_subjects.after_subject)
                                offset 0
                            ) newer);
                end if;
                v_page := array_append(v_page, v_next);
                exit when cardinality(v_page) = _newest_subjects.max_rows;
            end loop;
            exit when cardinality(v_page) = _newest_subjects.max_rows or v_read < v_rows;
            v_done := v_since;
            v_rows := v_rows * 4;
            if v_rows > _newest_subjects.max_read then
                return null;
            end if;
        end loop;
        v_found := v_found || v_page;
    end loop;
    return v_found;
end
$$;

comment on function _newest_subjects(text[], integer, timestamptz, text, bigint) is
    'At least the max_rows most recently active subjects after a cursor (null: from the start), from the rollups of some kinds of bucket. '
    'A subject may be there once for each kind. Null if more than max_read rollups of a kind would have to be read.';

-- From subject to subject by the primary key, and to the newest rollup of each metric: buckets of the past may be many times as many.
create or replace function _subjects_after(max_rows integer, after_at timestamptz, after_subject text)
returns subject_activity[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return array(
        select (s.subject, l.last_at)::subject_activity
        from _each_subject() s (subject)
        cross join lateral (
            select max(newest.last_at)
            from metrics m
            cross join lateral (select m.fine_bucket) b (bucket)
            cross join lateral (
                select max(r.last_at)
                from rollups r
                where r.subject = s.subject and r.metric = m.key and r.bucket = b.bucket and r.bucket_start = (
                    select n.bucket_start
                    from rollups n
                    where n.subject = s.subject and n.metric = m.key and n.bucket = b.bucket
                    order by n.bucket_start desc
                    limit 1)
            ) newest (last_at)
        ) l (last_at)
        where _subjects_after.after_subject is null or l.last_at < _subjects_after.after_at
            or l.last_at = _subjects_after.after_at and s.subject > _subjects_after.after_subject
        order by l.last_at desc, s.subject
        limit _subjects_after.max_rows);
end
$$;

comment on function _subjects_after(integer, timestamptz, text) is
    'The max_rows most recently active subjects after a cursor (null: from the start). Its cost grows with the number of all subjects, '
    'but not with their history.';

create or replace function _each_subject()
returns setof text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        with recursive s (subject) as (
            (select r.subject from rollups r order by r.subject limit 1)
            union all
            select (select r.subject from rollups r where r.subject > s.subject order by r.subject limit 1)
            from s
            where s.subject is not null
        )
        select s.subject from s where s.subject is not null;
end
$$;

comment on function _each_subject() is 'Every subject that has usage, by one look-up each.';
