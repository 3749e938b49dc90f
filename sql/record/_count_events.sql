-- What _count_event() does, for a batch, in the same lock order: new series, members, rows of series, and only then the clock is read for
-- recorded_at. Rows of series are found by primary key, whatever the statistics say.
create or replace function _count_events(batch batch_event[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_stripe  smallint := 0;
    v_amounts rollups[];
begin
    if batch = '{}' then
        return;
    elsif exists (select from unnest(batch) e join metrics m on m.key = e.metric where m.striped) then
        v_stripe := _session_stripe();
    end if;
    if v_stripe = 0 then
        v_amounts := _lock_batch(batch, v_stripe);
    end if;
    -- maintain() may merge a stripe while its lock is waited for. The block gives up all locks, so that the next attempt takes them in order.
    while v_amounts is null loop
        begin
            v_amounts := _lock_batch(batch, v_stripe);
            if v_amounts is null then
                raise savepoint_exception;
            end if;
        exception when savepoint_exception then
            null;
        end;
    end loop;
    insert into events (event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata)
    select e.event_id, e.at, clock_timestamp(), s.series_id, e.quantity, e.member, e.idempotency_key, e.metadata
    from unnest(batch) e
    cross join lateral (
        select s.series_id from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 offset 0
    ) s
    order by s.series_id, e.at, e.event_id;
    insert into unreported (at, event_id, series_id, biller)
    select e.at, e.event_id, s.series_id, unnest(m.billers)
    from unnest(batch) e
    join metrics m on m.key = e.metric and m.billers is not null
    cross join lateral (
        select s.series_id from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 offset 0
    ) s;
    perform _add_to_buckets(v_amounts);
end
$$;

comment on function _count_events(batch_event[]) is
    'Counts the new, valid events of a batch, whose keys are already inserted.';

create or replace function _lock_batch(batch batch_event[], stripe smallint)
returns rollups[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_new     record;
    v_created integer[] := '{}';
    v_amounts rollups[];
begin
    -- Creates in the order of the primary key; v_created are the series that have a new stripe.
    for v_new in
        select m as metric, n.subject, n.stripe, n.at
        from (
            select e.metric, e.subject, case when m.striped then _lock_batch.stripe else 0 end::smallint as stripe, max(e.at) as at
            from unnest(batch) e
            join metrics m on m.key = e.metric
            group by 1, 2, 3
        ) n
        join metrics m on m.key = n.metric
        where not exists (select from series s where s.metric = n.metric and s.subject = n.subject and s.stripe = n.stripe)
        order by n.metric, n.subject
    loop
        perform _create_series(v_new.metric, v_new.subject, v_new.stripe, v_new.at);
        if v_new.stripe > 0 then
            v_created := v_created || _series_id(v_new.metric, v_new.subject, v_new.at);
        end if;
    end loop;
    v_amounts := array(select a from _batch_amounts(batch, _lock_batch.stripe) a);
    if _lock_batch.stripe > 0 and not _lock_stripes(v_amounts, v_created) then
        return null;
    elsif _lock_batch.stripe = 0 then
        perform _lock_rows(v_amounts);
    end if;
    return v_amounts;
end
$$;

comment on function _lock_batch(batch_event[], smallint) is
    'What a batch adds to each bucket. The rows of series that it belongs to are created, and locked until the transaction ends. Null if one of '
    'them was deleted meanwhile.';

create or replace function _batch_amounts(batch batch_event[], stripe smallint)
returns setof rollups
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    with placed as materialized (
        select s.series_id, case when m.striped then _batch_amounts.stripe else 0 end::smallint as stripe, b.bucket,
               _bucket_start(b.bucket, e.at) as bucket_start, m.aggregate, e.quantity, e.at, e.event_id
        from unnest(batch) e
        join metrics m on m.key = e.metric
        cross join lateral (
            select s.series_id from series s where s.metric = e.metric and s.subject = e.subject and s.stripe = 0 offset 0
        ) s
        cross join lateral (values (m.fine_bucket), (nullif(m.coarse_bucket, m.fine_bucket))) as b (bucket)
        where b.bucket is not null
    ), members as (
        select * from _add_batch_members(batch)
    )
    select bucket_start, g.event_count, g.last_at, series_id, g.stripe, bucket,
           case when g.aggregate in ('sum', 'count', 'avg') then g.total when g.aggregate = 'unique' then coalesce(m.added, 0) end,
           case g.aggregate when 'min' then g.lowest end, case g.aggregate when 'max' then g.highest end, g.latest
    from (
        select series_id, stripe, bucket, bucket_start, aggregate, count(*) as event_count, max(at) as last_at,
               sum(quantity) as total, min(quantity) as lowest, max(quantity) as highest,
               max(array[extract(epoch from at), event_id, quantity]) filter (where aggregate = 'last') as latest
        from placed
        group by series_id, stripe, bucket, bucket_start, aggregate
    ) g
    left join members m using (series_id, bucket, bucket_start);
end
$$;

comment on function _batch_amounts(batch_event[], smallint) is
    'What a batch adds to each bucket. Members are added to unique_members on the way, which tells how many of them are new.';
