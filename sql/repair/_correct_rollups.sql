-- Corrects the series that nobody has changed since the drifts were read: a change raises the version of a row of the series. Their rows are
-- locked until the transaction ends, so a later pass corrects the others. Stripes are merged first; then every correction is written to
-- rollups, and series whose open buckets differ, or are not the latest, get these anew, out of rollups.
-- A bucket without events is a correction with an event_count of 0. `held` is the last series of the batch before, if it was corrected: it may
-- go on in this batch, and its version is another one by now.
create or replace function _correct_rollups(corrections rollups[], versions bigint[], held integer)
returns table (corrected bigint, last_corrected integer)
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set plan_cache_mode to force_custom_plan
set jit to off
set lock_timeout to '1s'
as $$
#variable_conflict use_column
declare
    v_rows   series[];
    v_series integer[];
    v_reopen integer[];
    v_last   integer := (_correct_rollups.corrections[cardinality(_correct_rollups.corrections)]).series_id;
begin
    -- NO KEY: does not wait for recorders that are creating a stripe.
    v_rows := array(
        select s from series s
        where s.series_id in (select c.series_id from unnest(_correct_rollups.corrections) c)
        order by s.series_id, s.stripe
        for no key update);
    v_series := array(
        select r.series_id
        from (
            select c.series_id, min(c.version) as version
            from unnest(_correct_rollups.corrections, _correct_rollups.versions) c (
                bucket_start, event_count, last_at, series_id, stripe, bucket, total, lowest, highest, latest, version)
            group by 1
        ) r
        where r.series_id = _correct_rollups.held
           or r.version is not distinct from (select sum(s.version) from series s where s.series_id = r.series_id));
    perform _merge_stripes(v_series, array(select r from unnest(v_rows) r where r.series_id = any (v_series) and r.stripe > 0));

    insert into rollups as r
    select c.* from unnest(_correct_rollups.corrections) c
    where c.series_id = any (v_series) and c.event_count > 0
    order by c.series_id, c.bucket, c.bucket_start
    on conflict (series_id, bucket, bucket_start, stripe) do update set
        event_count = excluded.event_count, last_at = excluded.last_at, total = excluded.total,
        lowest = excluded.lowest, highest = excluded.highest, latest = excluded.latest;
    delete from rollups r
    using unnest(_correct_rollups.corrections) c
    where c.series_id = any (v_series) and c.event_count = 0
      and r.series_id = c.series_id and r.bucket = c.bucket and r.bucket_start = c.bucket_start and r.stripe = 0;
    v_reopen := array(
        select s.series_id
        from series s
        join metrics m on m.key = s.metric
        where s.series_id = any (v_series) and s.stripe = 0
          and ((s.series_id, m.fine_bucket, s.fine_start) in (
                   select c.series_id, c.bucket, c.bucket_start from unnest(_correct_rollups.corrections) c)
               or (s.series_id, m.coarse_bucket, s.coarse_start) in (
                   select c.series_id, c.bucket, c.bucket_start from unnest(_correct_rollups.corrections) c)
               or exists (
                   select from rollups r
                   where r.series_id = s.series_id and r.bucket = m.fine_bucket and r.bucket_start > s.fine_start
                     and r.bucket_start <= now() and r.stripe = 0)));
    perform _reopen_buckets(v_reopen, _correct_rollups.corrections);
    update series s set version = s.version + 1 where s.series_id = any (v_series) and s.series_id <> all (v_reopen);
    if exists (select from metrics where billers is not null) then
        perform _queue_corrected(array(select c from unnest(_correct_rollups.corrections) c where c.series_id = any (v_series)));
    end if;
    return query
    select count(*), case when v_last = any (v_series) then v_last end
    from unnest(_correct_rollups.corrections) c
    where c.series_id = any (v_series);
end
$$;

comment on function _correct_rollups(rollups[], bigint[], integer) is
    'Makes the given buckets equal the log, except of series whose version is not the given one. Returns how many were corrected, and the last '
    'series if it was.';
