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
        where s.schemaname = current_schema() and s.relname = 'rollups' and s.n_tup_upd > 100000
          and s.n_tup_hot_upd < 0.5 * s.n_tup_upd
        order by 1;
end
$$;

comment on function _bloated_tables() is
    'Returns the tables with more than 10,000 dead rows that make up more than a fifth of the table; and rollups if most of its '
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
        (select min(q.at) from (select at, biller from unreported limit 100000) q where q.biller = any (v_billers)),
        (select min(stamped_at) from pushes where state in ('planned', 'sending') and biller = any (v_billers)),
        (select min(stamped_at) from pushes where state in ('uncertain', 'held', 'rejected') and biller = any (v_billers)));
end
$$;

comment on function _oldest_unreported() is
    'Returns the time of the oldest usage that a biller has not been confirmed to have counted, or null if there is none. Rehearsals '
    'and billers whose reporter has never run are excluded.';

-- To bound the cost, it reads only the latest 5,000 rollups before the last 24 hours. A pair of subject and metric that stops is found
-- until 5,000 later rollups have followed. Conditions compare whole rows, so that only the primary key can be used, even if the table
-- was never analyzed.
create or replace function _silent_subjects(now timestamptz)
returns table (subject text, metric text, last_at timestamptz)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_day    interval := interval '24 hours';
    v_kind   text;
    v_recent timestamptz;
begin
    foreach v_kind in array array['hour', 'day'] loop
        v_recent := _bucket_start(v_kind, _silent_subjects.now) - v_day;
        return query
            with latest as materialized (
                select n.subject, n.metric, max(n.bucket_start) as bucket_start, max(n.last_at) as last_at
                from (
                    select r.subject, r.metric, r.bucket_start, r.last_at
                    from rollups r
                    where r.bucket = v_kind and r.bucket_start < v_recent and r.bucket_start >= v_recent - 7 * v_day
                    order by r.bucket_start desc
                    limit 5000
                ) n
                join metrics m on m.key = n.metric and m.retired_at is null and m.fine_bucket = v_kind
                group by n.subject, n.metric
            ), stopped as materialized (
                select * from latest l
                where not exists (
                    select from rollups r
                    where (r.subject, r.metric, r.bucket, r.bucket_start) >= (l.subject, l.metric, v_kind, v_recent)
                      and (r.subject, r.metric, r.bucket, r.bucket_start) <= (l.subject, l.metric, v_kind, 'infinity'))
            )
            select s.subject, s.metric, s.last_at
            from stopped s
            where not exists (
                select from generate_series(1, 6) as ago (days)
                cross join lateral (select s.bucket_start - ago.days * v_day as until) w
                where not exists (
                    select from rollups r
                    where (r.subject, r.metric, r.bucket, r.bucket_start) <= (s.subject, s.metric, v_kind, w.until)
                      and (r.subject, r.metric, r.bucket, r.bucket_start) > (s.subject, s.metric, v_kind, w.until - v_day)));
    end loop;
end
$$;

comment on function _silent_subjects(timestamptz) is
    'Returns the subjects and metrics that were recorded on each of seven days and then not for at least 24 hours. Each is returned '
    'for up to a week. Only metrics with hour or day rollups are examined.';
