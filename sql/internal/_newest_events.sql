-- Per metric, the primary key delivers the newest events in order, so a page costs its rows, not the log's.
-- Read in slices of time, the newest first, each twice as long as the one before, until the page is full: no older partition of the log
-- is opened, and locked, than the page needs. Rollups tell between which times the subject has events at all. A custom plan for each
-- slice leaves out the partitions beside it.
create or replace function _newest_events(
    subject text, metric text, since timestamptz, until timestamptz, after_at timestamptz, after_id bigint, max_rows integer)
returns setof events
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_oldest timestamptz;
    v_newest timestamptz;
    v_since  timestamptz;
    v_until  timestamptz := least(_newest_events.until, _newest_events.after_at + interval '1 microsecond');
    v_step   interval := interval '1 month';
    v_left   bigint := _newest_events.max_rows;
    v_found  bigint;
begin
    select min(f.bucket_start), max(_bucket_end(f.bucket, l.bucket_start)) into v_oldest, v_newest
    from metrics m
    cross join lateral (select _fine_bucket(m.period, m.rollup)) b (bucket)
    cross join lateral (
        select r.bucket, r.bucket_start from rollups r
        where r.subject = _newest_events.subject and r.metric = m.key and r.bucket = b.bucket order by r.bucket_start limit 1) f
    cross join lateral (
        select r.bucket_start from rollups r
        where r.subject = _newest_events.subject and r.metric = m.key and r.bucket = b.bucket order by r.bucket_start desc limit 1) l
    where _newest_events.metric is null or m.key = _newest_events.metric;
    -- Without any rollup, all of the log is one slice: what it holds can be seen even where its rollups were lost.
    v_oldest := greatest(v_oldest, _newest_events.since);
    v_until := least(v_until, v_newest);
    v_since := case when v_newest is not null then date_trunc('month', least(v_until - interval '1 microsecond', now()), 'UTC') end;
    while v_left > 0 and v_until > v_oldest loop
        v_since := greatest(v_since, v_oldest);
        return query
            select page.*
            from metrics m
            cross join lateral (
                select e.*
                from events e
                where e.subject = _newest_events.subject and e.metric = m.key and e.at >= v_since and e.at < v_until
                  and (e.at, e.event_id) < (_newest_events.after_at, _newest_events.after_id)
                order by e.at desc, e.event_id desc
                limit v_left
            ) page
            where _newest_events.metric is null or m.key = _newest_events.metric
            order by page.at desc, page.event_id desc
            limit v_left;
        get diagnostics v_found = row_count;
        v_left := v_left - v_found;
        v_until := v_since;
        v_since := v_since - v_step;
        v_step := 2 * v_step;
    end loop;
end
$$;

comment on function _newest_events(text, text, timestamptz, timestamptz, timestamptz, bigint, integer) is
    'The newest events of a subject in [since, until) that come after a cursor, newest first, at most max_rows.';
