-- Read from the rows of whole periods, of which there are the fewest; only a mapping that begins at some time needs the finer ones.
create or replace function _unmapped(biller text, subject_is_customer boolean)
returns table (subject text, metric text, quantity numeric, oldest timestamptz)
language sql
stable
set search_path from current
as $$
    select u.subject, u.metric, u.quantity - coalesce(d.quantity, 0), u.oldest
    from (
        select b.subject, b.metric, min(b.bucket_start) as oldest, sum(b.quantity) as quantity
        from (
            -- The rows of a bucket are its stripes.
            select r.subject, m.key as metric, r.bucket_start,
                   _quantity(m.aggregate, sum(r.event_count)::bigint, sum(r.total), min(r.lowest), max(r.highest),
                       (array_agg(r.latest order by r.last_at desc, r.last_event_id desc nulls last))[1]) as quantity
            from metrics m
            left join report_metrics t on t.biller = _unmapped.biller and t.metric = m.key and t.event_name is not null
            join rollups r on r.metric = m.key and r.bucket_start >= coalesce(t.since, '-infinity')
                and r.bucket = case when t.since is null then m.period else _fine_bucket(m.period, m.rollup) end
            where t.metric is null or not coalesce(_unmapped.subject_is_customer, false)
                and not exists (select from report_subjects s where s.subject = r.subject and s.biller = _unmapped.biller)
            group by r.subject, m.key, r.bucket_start
        ) b
        group by 1, 2
    ) u
    left join lateral (
        select sum(d.quantity + d.as_events) as quantity
        from reported d
        where d.subject = u.subject and d.metric = u.metric and d.biller = _unmapped.biller
    ) d on true
    where u.quantity <> coalesce(d.quantity, 0)
$$;

comment on function _unmapped(text, boolean) is
    'The usage that no push is made for, because its metric has no event name or its subject no customer, less what was reported while '
    'they had.';
