-- Merging bounds what usage has to add up. A stripe in use is left alone until its open bucket is over, so that merging comes to an end
-- however much is recorded. One call merges a small batch, because the rows stay locked until its transaction ends.
create or replace function _merge_idle_stripes(series_ids integer[])
returns table (action text, object text)
language plpgsql
volatile
set search_path from current
set lock_timeout to '500ms'  -- shorter than deadlock_timeout: of a recorder that waits for a member of another one, this gives up first
as $$
#variable_conflict use_column
declare
    v_batch   integer[];
    v_locked  integer[] := '{}';
    v_stripes series[] := '{}';
    v_id      integer;
    v_rows    bigint;
begin
    v_batch := array(
        select c.series_id
        from (
            select g.series_id, sum(g.rows) over (order by g.series_id) - g.rows as rows_before
            from (
                select s.series_id, (select count(*) from rollups r where r.series_id = s.series_id and r.stripe > 0)
                                    + (select count(*) from series t where t.series_id = s.series_id and t.stripe > 0) as rows
                from unnest(series_ids[:500]) s (series_id)
            ) g
        ) c
        where c.rows_before < 5000
        order by c.series_id);
    if v_batch = '{}' then
        return;
    end if;
    -- Recorders that are creating a stripe hold row 0, and may wait for what somebody else holds: those series are left to a later call.
    foreach v_id in array v_batch loop
        perform from series s where s.series_id = v_id and s.stripe = 0 for update skip locked;
        if found then
            v_stripes := v_stripes || array(select s from series s where s.series_id = v_id and s.stripe > 0 order by s.stripe for update);
            v_locked := v_locked || v_id;
        end if;
    end loop;
    v_rows := _merge_stripes(v_locked, v_stripes, forget => true);
    if v_rows > 0 then
        return query select 'merged stripes', case v_rows when 1 then '1 row' else format('%s rows', v_rows) end;
    end if;
    if cardinality(v_locked) < cardinality(v_batch) then
        return query select 'postponed stripes', 'other transactions hold locks on them';
    end if;
    if v_rows > 0 and cardinality(v_batch) < cardinality(series_ids) then
        return query select 'again', 'stripes are left to merge: run maintain() again';
    end if;
exception when lock_not_available or deadlock_detected then
    return query select 'postponed stripes', 'other transactions hold locks on them';
end
$$;

comment on function _merge_idle_stripes(integer[]) is
    'Merges the stripes of series into their rows 0, as many as make a small batch. Returns what it did, as rows of maintain().';

-- Reads the catalog in a block that is rolled back, as _metric_kinds() does.
create or replace function _series_to_merge(max_series integer)
returns integer[]
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_series integer[];
begin
    v_series := array(
        select distinct s.series_id
        from series s
        join metrics m on m.key = s.metric
        where s.stripe > 0 and ((select _all_here()) or _is_home(s.subject))
          and (not m.striped or m.limited or s.fine_end <= now() and s.coarse_last_at > '-infinity'
               or exists (select from rollups r where r.series_id = s.series_id and r.stripe > 0))
        order by s.series_id
        limit max_series);
    raise savepoint_exception;
exception when savepoint_exception then
    return v_series;
end
$$;

comment on function _series_to_merge(integer) is
    'The series with stripes that are no longer in use, of metrics that are no longer striped or are limited, or with closed buckets.';
