-- Buckets that are open are written into the rows of series, the others to rollups. A series that gets a later bucket than its open one has it opened
-- afterwards. Rows are found by index, whatever the statistics say.
create or replace function _replace_buckets(buckets rollups[])
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
    v_closed rollups[];
    v_reopen integer[];
begin
    with placed as materialized (
        select b as rollup, b.bucket = o.fine_bucket and b.bucket_start = o.fine_start and o.fine_last_at > '-infinity' as is_fine,
               b.bucket = o.coarse_bucket and b.bucket_start = o.coarse_start and o.coarse_last_at > '-infinity' as is_coarse,
               b.bucket = o.fine_bucket and (b.bucket_start > o.fine_start or o.fine_last_at = '-infinity') as is_later
        from unnest(buckets) b
        cross join lateral (
            select s.fine_start, s.fine_last_at, s.coarse_start, s.coarse_last_at, m.fine_bucket, m.coarse_bucket
            from series s
            join metrics m on m.key = s.metric
            where s.series_id = b.series_id and s.stripe = 0
            offset 0
        ) o
    ), opened as materialized (
        select (p.rollup).series_id, 0::smallint as stripe, (array_agg(p.rollup) filter (where p.is_fine))[1] as fine,
               (array_agg(p.rollup) filter (where p.is_coarse))[1] as coarse, bool_or(p.is_fine) as has_fine, bool_or(p.is_coarse) as has_coarse
        from placed p
        group by 1
    ), written as (
        update series s set
            version = s.version + 1,
            unchecked_below = case when s.unchecked_below = 'infinity' then 'infinity' else '-infinity'::numeric end,
            fine_count = case when o.has_fine then (o.fine).event_count else s.fine_count end,
            fine_last_at = case when o.has_fine then (o.fine).last_at else s.fine_last_at end,
            fine_total = case when o.has_fine then (o.fine).total else s.fine_total end,
            fine_lowest = case when o.has_fine then (o.fine).lowest else s.fine_lowest end,
            fine_highest = case when o.has_fine then (o.fine).highest else s.fine_highest end,
            fine_latest = case when o.has_fine then (o.fine).latest else s.fine_latest end,
            coarse_count = case when o.has_coarse then (o.coarse).event_count else s.coarse_count end,
            coarse_last_at = case when o.has_coarse then (o.coarse).last_at else s.coarse_last_at end,
            coarse_total = case when o.has_coarse then (o.coarse).total else s.coarse_total end,
            coarse_lowest = case when o.has_coarse then (o.coarse).lowest else s.coarse_lowest end,
            coarse_highest = case when o.has_coarse then (o.coarse).highest else s.coarse_highest end,
            coarse_latest = case when o.has_coarse then (o.coarse).latest else s.coarse_latest end
        from opened o
        where s.series_id = o.series_id and s.stripe = o.stripe
    )
    select array_agg(p.rollup) filter (where not (p.is_fine or p.is_coarse)),
           array_agg(distinct (p.rollup).series_id) filter (where p.is_later)
    into v_closed, v_reopen
    from placed p;
    perform _replace_rollups(v_closed);
    if v_reopen is not null then
        perform _reopen_buckets(v_reopen, v_closed);
    end if;
end
$$;

comment on function _replace_buckets(rollups[]) is
    'Writes whole buckets of series that have no stripes, and whose rows the caller has locked.';
