-- The index returns rows of series by the start of the fine bucket of their latest event. Buckets of several kinds do not line up, but this
-- holds for any instant T: a row whose latest event is at T or later starts at T or later, or at the start of the bucket, of its kind, that
-- contains T. So after reading these rows, it is certain who was active since T, and when last. T goes back until the page is full.
--
-- Behind a cursor, rows that start after it are not read, so each subject is looked up: one that has been active since belongs to an earlier
-- page.
create or replace function _newest_subjects(max_rows integer, after_at timestamptz, after_subject text)
returns setof subject_activity
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_after_at timestamptz := coalesce(_newest_subjects.after_at, 'infinity');
    v_rows     bigint := _newest_subjects.max_rows;
    v_left     integer := _newest_subjects.max_rows;
    v_read     bigint;
    v_since    timestamptz;
    v_starts   timestamptz[];
    v_done     timestamptz := 'infinity';  -- who was active since then has been dealt with
    v_next     subject_activity;
begin
    loop
        select count(*), min(n.newest_start)
        into v_read, v_since
        from (
            select s.newest_start from series s where s.newest_start <= v_after_at order by s.newest_start desc limit v_rows
        ) n;
        if v_read < v_rows then
            v_since := '-infinity';
        end if;
        v_starts := array(select distinct _bucket_start(m.fine_bucket, v_since) from metrics m where isfinite(v_since));
        for v_next in
            select r.subject, max(r.last_at)
            from (
                select s.subject, _last_at(s) as last_at
                from series s
                where s.newest_start >= v_since and s.newest_start <= v_after_at
                union all
                select s.subject, _last_at(s)
                from series s
                where s.newest_start = any (v_starts) and s.newest_start < v_since
            ) r
            group by r.subject
            having max(r.last_at) >= v_since and max(r.last_at) <= v_after_at and max(r.last_at) < v_done
               and ((select _all_here()) or _is_here(r.subject))
            order by 2 desc, 1
        loop
            if _newest_subjects.after_subject is not null then
                continue when v_next.last_activity_at = v_after_at and v_next.subject <= _newest_subjects.after_subject collate "C"
                    or _last_activity(v_next.subject) > v_next.last_activity_at;
            end if;
            return next v_next;
            v_left := v_left - 1;
            exit when v_left = 0;
        end loop;
        exit when v_left = 0 or v_read < v_rows;
        v_done := v_since;
        v_rows := v_rows * 4;
    end loop;
end
$$;

comment on function _newest_subjects(integer, timestamptz, text) is
    'The max_rows most recently active subjects after a cursor (null: from the start), most recent first.';

create or replace function _last_activity(subject text)
returns timestamptz
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select max(r.last_at)
        from metrics m
        cross join lateral (
            select max(_last_at(s)) from series s where s.metric = m.key and s.subject = _last_activity.subject
        ) r (last_at));
end
$$;

comment on function _last_activity(text) is 'The latest event time of a subject; null if it has no events.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _last_at(series series)
returns timestamptz
language sql
immutable parallel safe
as $$
    select greatest(nullif(series.coarse_last_at, '-infinity'), series.ahead_at)
$$;

comment on function _last_at(series) is 'The latest event time of a row of series; null if it has no events.';
