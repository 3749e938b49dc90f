-- Of the latest bucket, which may have several stripes. A bucket that reaches beyond the time tells no more than that there may be one.
create or replace function _newest_event_before(subject text, metric text, until timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return (
        select case when max(stripes.last_at) < until then max(stripes.last_at) else max(until) - interval '1 microsecond' end
        from metrics m
        cross join lateral (select _fine_bucket(m.period, m.rollup)) b (bucket)
        cross join lateral (
            select r.bucket_start
            from rollups r
            where r.subject = _newest_event_before.subject and r.metric = m.key and r.bucket = b.bucket
              and r.bucket_start < _newest_event_before.until
            order by r.bucket_start desc
            limit 1
        ) newest
        cross join lateral (
            select max(r.last_at)
            from rollups r
            where r.subject = _newest_event_before.subject and r.metric = m.key and r.bucket = b.bucket
              and r.bucket_start = newest.bucket_start
        ) stripes (last_at)
        where _newest_event_before.metric is null or m.key = _newest_event_before.metric);
end
$$;

comment on function _newest_event_before(text, text, timestamptz) is
    'A time before `until` that no event of a subject (and metric; null: any) lies between; null if there is no event before it.';
