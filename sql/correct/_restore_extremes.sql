-- The extreme of a fine bucket changes only if it was that of the event that does not count any more: then the log tells the next one. That of a
-- coarse bucket is put together from its fine ones. The caller has locked the only row of the series, and has written the void.
create or replace function _restore_extremes(series_id integer, metric metrics, at timestamptz, event_id bigint, quantity numeric)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_series integer := _restore_extremes.series_id;
    v_kind   text := (_restore_extremes.metric).aggregate;
    v_fine   text := (_restore_extremes.metric).fine_bucket;
    v_coarse text := (_restore_extremes.metric).coarse_bucket;
    v_start  timestamptz := _bucket_start(v_fine, _restore_extremes.at);
    v_end    timestamptz := _bucket_end(v_fine, v_start);
    v_since  timestamptz := _bucket_start(v_coarse, _restore_extremes.at);
    v_until  timestamptz := _bucket_end(v_coarse, v_since);
    v_next   record;
begin
    select f.* into v_next
    from (
        select s.fine_lowest as lowest, s.fine_highest as highest, s.fine_latest as latest
        from series s where s.series_id = v_series and s.stripe = 0 and s.fine_start = v_start and s.fine_last_at > '-infinity'
        union all
        select r.lowest, r.highest, r.latest
        from rollups r where r.series_id = v_series and r.bucket = v_fine and r.bucket_start = v_start and r.stripe = 0
    ) f;
    if v_next.lowest < _restore_extremes.quantity or v_next.highest > _restore_extremes.quantity
        or v_next.latest[2] <> _restore_extremes.event_id then
        return;
    end if;
    select min(e.quantity) filter (where v_kind = 'min') as lowest, max(e.quantity) filter (where v_kind = 'max') as highest,
           max(_latest(e.at, e.event_id, e.quantity)) filter (where v_kind = 'last') as latest
    into v_next
    from events e
    where e.series_id = v_series and e.at >= v_start and e.at < v_end
      and e.event_id not in (select unnest((_uncounted_rows(v_series, v_start, v_end)).left_out));
    perform _write_extremes(v_series, v_fine, v_start, true, v_next.lowest, v_next.highest, v_next.latest);
    if v_fine <> v_coarse then
        select min(f.lowest) as lowest, max(f.highest) as highest, max(f.latest) as latest into v_next
        from (
            select r.lowest, r.highest, r.latest
            from rollups r where r.series_id = v_series and r.bucket = v_fine and r.bucket_start >= v_since and r.bucket_start < v_until
            union all
            select s.fine_lowest, s.fine_highest, s.fine_latest
            from series s where s.series_id = v_series and s.stripe = 0 and s.fine_start >= v_since and s.fine_start < v_until
        ) f;
    end if;
    perform _write_extremes(v_series, v_coarse, v_since, false, v_next.lowest, v_next.highest, v_next.latest);
end
$$;

comment on function _restore_extremes(integer, metrics, timestamptz, bigint, numeric) is
    'Brings min, max and last of the buckets of an event that does not count any more up to date, in a series without stripes.';

create or replace function _write_extremes(
    series_id integer, bucket text, bucket_start timestamptz, is_fine boolean, lowest numeric, highest numeric, latest numeric[]
)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if is_fine then
        update series s set
            fine_lowest = _write_extremes.lowest, fine_highest = _write_extremes.highest, fine_latest = _write_extremes.latest
        where s.series_id = _write_extremes.series_id and s.stripe = 0 and s.fine_start = _write_extremes.bucket_start
          and s.fine_last_at > '-infinity';
    else
        update series s set
            coarse_lowest = _write_extremes.lowest, coarse_highest = _write_extremes.highest, coarse_latest = _write_extremes.latest
        where s.series_id = _write_extremes.series_id and s.stripe = 0 and s.coarse_start = _write_extremes.bucket_start
          and s.coarse_last_at > '-infinity';
    end if;
    if not found then
        update rollups r set lowest = _write_extremes.lowest, highest = _write_extremes.highest, latest = _write_extremes.latest
        where r.series_id = _write_extremes.series_id and r.bucket = _write_extremes.bucket and r.bucket_start = _write_extremes.bucket_start
          and r.stripe = 0;
    end if;
end
$$;

comment on function _write_extremes(integer, text, timestamptz, boolean, numeric, numeric, numeric[]) is
    'Writes min, max and last of a bucket, open or not. is_fine: of the two that are open, which one it is if it is open.';
