-- Events are put together by fine bucket first; these are few, and the rest is done with them.
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
    with fine as (
        select _bucket_start(m.fine_bucket, e.at) as fine_start, count(*) as event_count, max(e.at) as last_at, e.metric, e.subject,
               case when m.striped and not m.limited then _batch_amounts.stripe else 0 end as stripe, m.fine_bucket,
               case when m.aggregate in ('sum', 'count', 'avg') then sum(e.quantity) when m.aggregate = 'unique' then 0 end as total,
               case m.aggregate when 'min' then min(e.quantity) end as lowest, case m.aggregate when 'max' then max(e.quantity) end as highest,
               case m.aggregate when 'last' then max(_latest(e.at, e.event_id, e.quantity)) end as latest
        from unnest(batch) e
        join metrics m on m.key = e.metric
        group by _bucket_start(m.fine_bucket, e.at), e.metric, e.subject, m.striped, m.limited, m.fine_bucket, m.aggregate
    ), amounts as (
        select a.*
        from _with_coarse_amounts(array(
            select (f.fine_start, f.event_count, f.last_at, s.series_id, f.stripe, f.fine_bucket, f.total, f.lowest, f.highest, f.latest)::rollups
            from fine f
            cross join lateral (
                select s.series_id from series s where s.metric = f.metric and s.subject = f.subject and s.stripe = 0 offset 0
            ) s)) a
    ), members as (
        select * from _add_batch_members(batch)
    )
    select a.bucket_start, a.event_count, a.last_at, a.series_id, a.stripe, a.bucket, a.total + coalesce(m.added, 0), a.lowest, a.highest, a.latest
    from amounts a
    left join members m using (series_id, bucket, bucket_start);
end
$$;

comment on function _batch_amounts(batch_event[], smallint) is
    'What a batch adds to each bucket. Members are added to unique_members on the way, which tells how many of them are new.';

create or replace function _with_coarse_amounts(fine rollups[])
returns setof rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    select * from unnest(fine)
    union all
    select _bucket_start(s.coarse_bucket, f.bucket_start), sum(f.event_count)::bigint, max(f.last_at), f.series_id, f.stripe, s.coarse_bucket,
           sum(f.total), min(f.lowest), max(f.highest), max(f.latest)
    from unnest(fine) f
    cross join lateral (
        select m.coarse_bucket
        from series s
        join metrics m on m.key = s.metric
        where s.series_id = f.series_id and s.stripe = 0 and m.coarse_bucket <> m.fine_bucket
        offset 0
    ) s
    group by 1, f.series_id, f.stripe, s.coarse_bucket;
end
$$;

comment on function _with_coarse_amounts(rollups[]) is 'Amounts of fine buckets, and with them those of the coarse buckets that they are in.';
