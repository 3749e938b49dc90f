-- A batch locks its rows for longer than record() does, so for a striped metric it always writes to the stripe of its session.
-- Members are written before rollups although this is one statement: the sort of the rollups reads the CTE members to its end first.
create or replace function _roll_up_batch(batch batch_event[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    with placed as materialized (
        select e.subject, e.metric, b.bucket, _bucket_start(b.bucket, e.at) as bucket_start,
               case when e.striped then 1 + pg_backend_pid() % 16 else 0 end as stripe, e.aggregate, e.quantity, e.member, e.at, e.event_id
        from unnest(batch) e
        cross join lateral (values (e.period), (e.rollup)) as b (bucket)
        where b.bucket is not null
    ), members as (
        select subject, metric, bucket, bucket_start, count(*) as added
        from _add_batch_members(batch)
        group by subject, metric, bucket, bucket_start
    ), gathered as (
        select subject, metric, bucket, bucket_start, stripe, aggregate, count(*) as event_count, max(at) as last_at,
               sum(quantity) as total, min(quantity) as lowest, max(quantity) as highest,
               -- Arrays are compared element by element. An aggregate with ORDER BY would sort all events.
               max(array[extract(epoch from at), event_id, quantity]) filter (where aggregate = 'last') as last
        from placed
        group by subject, metric, bucket, bucket_start, stripe, aggregate
    )
    insert into rollups as r (subject, metric, bucket, bucket_start, stripe, event_count, last_at, last_event_id,
                              total, lowest, highest, latest)
    select subject, metric, bucket, bucket_start, g.stripe, g.event_count, g.last_at, g.last[2],
           case when g.aggregate in ('sum', 'count', 'avg') then g.total
                when g.aggregate = 'unique' then coalesce(m.added, 0) end,
           case when g.aggregate = 'min' then g.lowest end,
           case when g.aggregate = 'max' then g.highest end,
           g.last[3]
    from gathered g
    left join members m using (subject, metric, bucket, bucket_start)
    order by subject, metric, bucket, bucket_start, g.stripe
    on conflict (subject, metric, bucket, bucket_start, stripe) do update set
        event_count = r.event_count + excluded.event_count,
        last_at = greatest(r.last_at, excluded.last_at),
        last_event_id = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                             then excluded.last_event_id else r.last_event_id end,
        total = r.total + excluded.total,
        lowest = least(r.lowest, excluded.lowest),
        highest = greatest(r.highest, excluded.highest),
        latest = case when (excluded.last_at, excluded.last_event_id) > (r.last_at, r.last_event_id)
                      then excluded.latest else r.latest end;
end
$$;

comment on function _roll_up_batch(batch_event[]) is
    'Adds new events to the members and rollups of their buckets: members first, then rollups, each in primary-key order.';
