create or replace function _bloated_tables()
returns table (description text)
language plpgsql
stable
set search_path from current
as $$
begin
    return query
        select format('%s: %s of %s rows are dead, last vacuumed %s', s.relname, s.n_dead_tup, s.n_live_tup + s.n_dead_tup,
                   coalesce(to_char(greatest(s.last_vacuum, s.last_autovacuum) at time zone interval '0', 'YYYY-MM-DD HH24:MI "UTC"'), 'never'))
        from pg_stat_user_tables s
        where s.schemaname = current_schema() and s.n_dead_tup > 10000 and s.n_dead_tup > 0.2 * s.n_live_tup
        union all
        select format('%s: %s %% of updates are HOT, so its indexes grow', s.relname, round(100.0 * s.n_tup_hot_upd / s.n_tup_upd))
        from pg_stat_user_tables s
        where s.schemaname = current_schema() and s.relname = 'series' and s.n_tup_upd > 100000
          and s.n_tup_hot_upd < 0.5 * s.n_tup_upd
        order by 1;
end
$$;

comment on function _bloated_tables() is
    'Returns the tables with more than 10,000 dead rows that make up more than a fifth of the table; and series if most of its '
    'updates are not HOT.';

-- Polled often, so it reads at most 100,000 rows of the queue. Rows are deleted from the front of the queue, so the oldest are usually
-- among the first. Billers without a reporter and rehearsals are excluded: their usage is not late.
create or replace function _oldest_unreported()
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_billers text[] := array(select b.biller from billers b where _is_monitored(b));
begin
    return least(
        (select min(q.at) from (
            select u.at, u.biller from unreported u
            where (select _all_here()) or exists (
                select from series s where s.series_id = u.series_id and s.stripe = 0 and _is_here(s.subject))
            limit 100000) q where q.biller = any (v_billers)),
        (select min(t.closed_at) from unbilled_statements q join statements t on t.statement_id = q.statement_id
         where q.biller = any (v_billers) and not q.customer_missing and ((select _all_here()) or exists (
             select from sealed_subjects w where w.subject_id = q.subject_id and _is_here(w.subject)))),
        (select min(stamped_at) from pushes where state in ('planned', 'sending') and biller = any (v_billers)
           and ((select _all_here()) or _is_here(subject))),
        (select min(stamped_at) from pushes where state in ('uncertain', 'held', 'rejected') and biller = any (v_billers)
           and ((select _all_here()) or _is_here(subject))));
end
$$;

comment on function _oldest_unreported() is
    'Returns the time of the oldest usage or statement that a biller has not been confirmed to have counted, or null if there is none. Rehearsals '
    'and billers whose reporter has never run are excluded.';

-- To bound the cost, it reads only the latest 5,000 rows of series before the last 24 hours. A pair of subject and metric that stops is found
-- until 5,000 others have stopped after it.
create or replace function _silent_subjects(now timestamptz)
returns table (subject text, metric text, last_at timestamptz)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_day interval := interval '24 hours';
begin
    return query
    with latest as materialized (
        select s.series_id, s.stripe, s.newest_start,
               greatest(case when s.fine_start = s.newest_start then s.fine_last_at end, s.newest_start) as last_at
        from series s
        where s.newest_start < _silent_subjects.now - v_day and s.newest_start >= _silent_subjects.now - 9 * v_day
        order by s.newest_start desc
        limit 5000
    ), stopped as materialized (
        select t.subject, m.key, m.fine_bucket, l.series_id, l.newest_start, l.last_at
        from latest l
        join series t on t.series_id = l.series_id and t.stripe = l.stripe
        join metrics m on m.key = t.metric and m.retired_at is null and m.fine_bucket in ('minute', 'hour', 'day')
        cross join lateral (
            select _bucket_start(case m.fine_bucket when 'day' then 'day' else 'hour' end, _silent_subjects.now) - v_day as recent
        ) w
        where l.newest_start < w.recent and l.newest_start >= w.recent - 7 * v_day
          and not exists (
              select from series o
              where o.series_id = l.series_id and o.stripe <> l.stripe and (o.newest_start, o.stripe) > (l.newest_start, l.stripe))
    )
    select s.subject, s.key, s.last_at
    from stopped s
    where ((select _all_here()) or _is_here(s.subject)) and not exists (
        select from generate_series(1, 6) as ago (days)
        cross join lateral (select s.newest_start - ago.days * v_day as until) w
        where not exists (
            select from rollups r
            where r.series_id = s.series_id and r.bucket = s.fine_bucket
              and r.bucket_start <= w.until and r.bucket_start > w.until - v_day
        ) and not exists (
            select from series o
            where o.series_id = s.series_id and o.fine_last_at > '-infinity' and o.fine_start <= w.until and o.fine_start > w.until - v_day));
end
$$;

comment on function _silent_subjects(timestamptz) is
    'Returns the subjects and metrics that were recorded on each of seven days and then not for at least 24 hours. Each is returned '
    'for up to a week. Only metrics with minute, hour or day buckets are examined.';
