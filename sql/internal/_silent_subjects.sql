-- Of the pairs of subject and metric that were recorded in the day and week before, those without anything since. To be bounded, it looks
-- at the latest 5,000 rollups before the last 24 hours: who falls silent is among them for as long as not so many others follow. Whole
-- rows are compared, so that nothing but the primary key can serve, even where the table was never analyzed.
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
                join metrics m on m.key = n.metric and m.retired_at is null and _fine_bucket(m.period, m.rollup) = v_kind
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
    'The subjects and metrics that were recorded on each of seven days and then not for 24 hours and more, a week at most; metrics with '
    'hour or day rollups.';
