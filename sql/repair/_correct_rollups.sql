-- Corrects the series that nobody has changed since the drifts were read: a change raises the version of a row of the series. Their rows are
-- locked until the transaction ends, so a later pass corrects the others. Stripes are merged first; then every correction is written to
-- rollups, and series whose open buckets differ, or are not the latest, get these anew, out of rollups; so do those that do not know how far ahead
-- of the clock their events are.
-- missing: buckets that are not stored; a series that has not changed has no rollup of them. wrong: the others, with last_at -infinity where the
-- log has none. held: the last series of the batch before, if it was corrected: it may go on in this batch, and its version is another one by now.
create or replace function _correct_rollups(missing rollups[], wrong rollups[], series_ids integer[], versions bigint[], held integer)
returns table (corrected bigint, last_corrected integer)
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_all    rollups[] := coalesce(missing, '{}') || coalesce(wrong, '{}');
    v_rows   series[] := _lock_series(series_ids);
    v_series integer[];
    v_reopen integer[];
begin
    v_series := array(
        select r.series_id
        from unnest(series_ids, versions) r (series_id, version)
        where r.series_id = _correct_rollups.held
           or r.version is not distinct from (select sum(s.version) from series s where s.series_id = r.series_id));
    perform _merge_stripes(v_series, array(select r from unnest(v_rows) r where r.series_id = any (v_series) and r.stripe > 0));

    insert into rollups select c.* from unnest(missing) c where c.series_id = any (v_series);
    perform _replace_rollups(array(select c from unnest(wrong) c where c.series_id = any (v_series) and c.last_at > '-infinity'));
    delete from rollups r
    using unnest(wrong) c
    where c.series_id = any (v_series) and c.last_at = '-infinity'
      and r.series_id = any (array[c.series_id]) and r.bucket = c.bucket and r.bucket_start = c.bucket_start and r.stripe = c.stripe;
    v_reopen := _series_to_reopen(v_series, v_all);
    perform _reopen_buckets(v_reopen, v_all);
    -- What limits had left was read from buckets that may have changed.
    update series s set version = s.version + 1,
        unchecked_below = case when s.unchecked_below = 'infinity' then 'infinity' else '-infinity'::numeric end
    where s.series_id = any (v_series) and s.series_id <> all (v_reopen);
    perform _queue_corrected(array(select c from unnest(v_all) c where c.series_id = any (v_series)));
    return query
        select count(*), case when series_ids[cardinality(series_ids)] = any (v_series) then series_ids[cardinality(series_ids)] end
        from unnest(v_all) c
        where c.series_id = any (v_series);
end
$$;

comment on function _correct_rollups(rollups[], rollups[], integer[], bigint[], integer) is
    'Makes the given buckets equal the log, except of series whose version is not the given one. Returns how many were corrected, and the last '
    'series if it was.';

-- OFFSET 0 keeps a look-up for each series from becoming a join of all of them.
create or replace function _series_to_reopen(series_ids integer[], corrections rollups[])
returns integer[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
begin
    -- IN beside OR compares by hashing.
    return array(
        with corrected as materialized (
            select series_id, bucket, bucket_start from unnest(corrections)
        )
        select s.series_id
        from unnest(series_ids) i (series_id)
        cross join lateral (
            select s.*, m.fine_bucket, m.coarse_bucket
            from series s
            join metrics m on m.key = s.metric
            where s.series_id = i.series_id and s.stripe = 0
            offset 0
        ) s
        where (s.series_id, s.fine_bucket, s.fine_start) in (select * from corrected)
           or (s.series_id, s.coarse_bucket, s.coarse_start) in (select * from corrected)
           or exists (
              select from rollups r
              where r.series_id = s.series_id and r.bucket = s.fine_bucket and r.bucket_start > s.fine_start and r.stripe = 0
                and (r.bucket_start <= now() or r.bucket_start > s.ahead_at or s.ahead_at is null)
              offset 0));
end
$$;

comment on function _series_to_reopen(integer[], rollups[]) is
    'Those of the given series whose open buckets are among the corrections, or are not the latest ones that have begun.';
