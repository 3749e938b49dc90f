-- Nearly all amounts of a batch are of open buckets. They are added in one statement; the rest is left to _add_to_buckets(). The caller has
-- locked the rows of series, which are found by index, whatever the statistics say: a bitmap scan needs a condition, whereas an index scan could read
-- the whole of a table that was small when the plan was made.
create or replace function _add_amounts(amounts rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_indexscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_rest rollups[];
begin
    with placed as materialized (
        select p.*, bool_and(p.is_fine or p.is_coarse) over (partition by p.series_id, p.stripe) as is_open
        from (
            select a.*, a.bucket = o.fine_bucket and a.bucket_start = o.fine_start as is_fine,
                   a.bucket = o.coarse_bucket and a.bucket_start = o.coarse_start as is_coarse
            from unnest(amounts) a
            cross join lateral (
                select s.fine_start, s.coarse_start, m.fine_bucket, m.coarse_bucket
                from series s
                join metrics m on m.key = s.metric
                where s.series_id = a.series_id and s.stripe = a.stripe
                offset 0
            ) o
        ) p
    ), opened as materialized (
        select series_id, stripe, max(event_count) filter (where is_fine) as fine_count, max(last_at) filter (where is_fine) as fine_last_at,
               max(total) filter (where is_fine) as fine_total, max(lowest) filter (where is_fine) as fine_lowest,
               max(highest) filter (where is_fine) as fine_highest, max(latest) filter (where is_fine) as fine_latest,
               max(event_count) filter (where is_coarse) as coarse_count, max(last_at) filter (where is_coarse) as coarse_last_at,
               max(total) filter (where is_coarse) as coarse_total, max(lowest) filter (where is_coarse) as coarse_lowest,
               max(highest) filter (where is_coarse) as coarse_highest, max(latest) filter (where is_coarse) as coarse_latest
        from placed
        where is_open
        group by series_id, stripe
    ), added as (
        update series s set
            version = s.version + 1,
            fine_count = s.fine_count + o.fine_count, fine_last_at = greatest(s.fine_last_at, o.fine_last_at),
            fine_total = s.fine_total + o.fine_total, fine_lowest = least(s.fine_lowest, o.fine_lowest),
            fine_highest = greatest(s.fine_highest, o.fine_highest), fine_latest = greatest(s.fine_latest, o.fine_latest),
            coarse_count = s.coarse_count + o.coarse_count, coarse_last_at = greatest(s.coarse_last_at, o.coarse_last_at),
            coarse_total = s.coarse_total + o.coarse_total, coarse_lowest = least(s.coarse_lowest, o.coarse_lowest),
            coarse_highest = greatest(s.coarse_highest, o.coarse_highest), coarse_latest = greatest(s.coarse_latest, o.coarse_latest)
        from opened o
        where s.series_id = o.series_id and s.stripe = o.stripe
    )
    select array_agg((bucket_start, event_count, last_at, series_id, stripe, bucket, total, lowest, highest, latest)::rollups) into v_rest
    from placed
    where not is_open;
    if v_rest is not null then
        perform _add_to_buckets(v_rest);
    end if;
end
$$;

comment on function _add_amounts(rollups[]) is
    'Adds amounts, each with its series, stripe and bucket: of each event to its fine bucket and, if the metric has two kinds, to its coarse one.';

-- The same for fine buckets of additive metrics, whose coarse buckets get the same: what most batches are.
create or replace function _add_fine_amounts(fine rollups[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_indexscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
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
        where s.series_id = a.series_id and s.stripe = a.stripe and s.fine_start = a.bucket_start
        returning s.series_id, s.fine_start
    )
    select array_agg(series_id), array_agg(fine_start) into v_added, v_open from added;
    if cardinality(v_added) = cardinality(fine) then
        return;
    end if;
    perform _add_to_buckets(array(
        select a
        from _with_coarse_amounts(array(
            select f
            from unnest(fine) f
            left join unnest(v_added, v_open) as a (series_id, fine_start) on a.series_id = f.series_id and a.fine_start = f.bucket_start
            where a.series_id is null)) a));
end
$$;

comment on function _add_fine_amounts(rollups[]) is 'Adds amounts of fine buckets of additive metrics to these and to their coarse buckets.';
