-- Nearly all events are of open buckets. What is not is left to _add_to_buckets(). The caller has locked the rows of series, which are found by
-- index, whatever the statistics say: a bitmap scan needs a condition, whereas an index scan could read the whole of a table that was small when
-- the plan was made.
create or replace function _add_fine_amounts(fine rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_indexscan to off
set enable_hashjoin to off
set enable_mergejoin to off
as $$
#variable_conflict use_column
declare
    v_added integer[];
    v_open  timestamptz[];
begin
    with added as (
        update series s set
            version = s.version + 1,
            fine_count = s.fine_count + a.event_count, fine_last_at = greatest(s.fine_last_at, a.last_at),
            fine_total = s.fine_total + a.total,
            coarse_count = s.coarse_count + a.event_count, coarse_last_at = greatest(s.coarse_last_at, a.last_at),
            coarse_total = s.coarse_total + a.total
        from unnest(fine) a
        where s.series_id = a.series_id and s.stripe = a.stripe and s.fine_start = a.bucket_start and s.coarse_count > 0
        returning s.series_id, s.fine_start
    )
    select array_agg(series_id), array_agg(fine_start) into v_added, v_open from added;
    if cardinality(v_added) = cardinality(fine) then
        return;
    end if;
    perform _add_to_buckets(array(select a from _late_amounts(fine, v_added, v_open) a));
end
$$;

comment on function _add_fine_amounts(rollups[]) is
    'Adds amounts of fine buckets of additive metrics to these and to their coarse buckets.';

create or replace function _late_amounts(fine rollups[], added integer[], open timestamptz[])
returns setof rollups
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return query
    with late as materialized (
        select f.*
        from unnest(fine) f
        left join unnest(added, open) as a (series_id, fine_start) on a.series_id = f.series_id and a.fine_start = f.bucket_start
        where a.series_id is null
    )
    select * from late
    union all
    select _bucket_start(s.coarse_bucket, l.bucket_start), sum(l.event_count)::bigint, max(l.last_at), l.series_id, l.stripe, s.coarse_bucket,
           sum(l.total), null::numeric, null::numeric, null::numeric[]
    from late l
    cross join lateral (
        select m.coarse_bucket
        from series s
        join metrics m on m.key = s.metric
        where s.series_id = l.series_id and s.stripe = l.stripe and m.coarse_bucket <> m.fine_bucket
        offset 0
    ) s
    group by 1, l.series_id, l.stripe, s.coarse_bucket;
end
$$;

comment on function _late_amounts(rollups[], integer[], timestamptz[]) is
    'The amounts of fine buckets that are not among those that were added, and with them the same of their coarse buckets.';
