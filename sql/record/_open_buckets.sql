-- Closes the open buckets of a row of series, as far as the new ones are others, and opens the new ones: without events, or with what rollups
-- has of them, from events that were ahead of the clock. The caller has locked the row, and writes what is returned.
create or replace function _open_buckets(metric metrics, series series, fine_start timestamptz)
returns series
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := _open_buckets.metric;
    v_series  series := _open_buckets.series;
    v_coarse  timestamptz := _bucket_start(v_metric.coarse_bucket, _open_buckets.fine_start);
    v_empty   numeric := case when v_metric.aggregate in ('sum', 'count', 'avg', 'unique') then 0 end;
    v_ahead   boolean := v_series.ahead_at is not null or v_series.coarse_last_at = '-infinity';
    v_reopens boolean := v_coarse <> v_series.coarse_start or v_series.coarse_last_at = '-infinity';
    v_there   rollups;
begin
    if v_series.fine_last_at > '-infinity' and v_metric.fine_bucket <> v_metric.coarse_bucket then
        perform _add_to_rollup(v_series.series_id, v_series.stripe, v_metric.fine_bucket, v_series.fine_start, v_series.fine_count,
            v_series.fine_last_at, v_series.fine_total, v_series.fine_lowest, v_series.fine_highest, v_series.fine_latest);
    end if;
    if v_series.coarse_last_at > '-infinity' and v_reopens then
        perform _add_to_rollup(v_series.series_id, v_series.stripe, v_metric.coarse_bucket, v_series.coarse_start, v_series.coarse_count,
            v_series.coarse_last_at, v_series.coarse_total, v_series.coarse_lowest, v_series.coarse_highest, v_series.coarse_latest);
    end if;

    if v_ahead then
        v_there := _take_rollup(v_series.series_id, v_series.stripe, v_metric.fine_bucket, _open_buckets.fine_start);
    end if;
    v_series.fine_start := _open_buckets.fine_start;
    v_series.fine_end := _bucket_end(v_metric.fine_bucket, _open_buckets.fine_start);
    v_series.fine_count := coalesce(v_there.event_count, 0);
    v_series.fine_last_at := coalesce(v_there.last_at, '-infinity');
    v_series.fine_total := coalesce(v_there.total, v_empty);
    v_series.fine_lowest := v_there.lowest;
    v_series.fine_highest := v_there.highest;
    v_series.fine_latest := v_there.latest;
    if v_reopens then
        if v_ahead and v_metric.fine_bucket <> v_metric.coarse_bucket then
            v_there := _take_rollup(v_series.series_id, v_series.stripe, v_metric.coarse_bucket, v_coarse);
        end if;
        v_series.coarse_start := v_coarse;
        v_series.coarse_end := _bucket_end(v_metric.coarse_bucket, v_coarse);
        v_series.coarse_count := coalesce(v_there.event_count, 0);
        v_series.coarse_last_at := coalesce(v_there.last_at, '-infinity');
        v_series.coarse_total := coalesce(v_there.total, v_empty);
        v_series.coarse_lowest := v_there.lowest;
        v_series.coarse_highest := v_there.highest;
        v_series.coarse_latest := v_there.latest;
    end if;
    if v_series.ahead_at < v_series.fine_end then
        v_series.ahead_at := null;
    end if;
    return v_series;
end
$$;

comment on function _open_buckets(metrics, series, timestamptz) is
    'The row of a series with the fine bucket that starts at fine_start open, and the coarse one around it; what was open is in rollups.';

create or replace function _write_series(metric metrics, series series)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    n series := _write_series.series;
    m metrics := _write_series.metric;
begin
    update series s set
        fine_start = n.fine_start, fine_end = n.fine_end, coarse_start = n.coarse_start, coarse_end = n.coarse_end,
        newest_start = n.newest_start, ahead_at = n.ahead_at, version = s.version + 1,
        fine_last_at = n.fine_last_at, fine_count = n.fine_count, fine_total = n.fine_total, fine_lowest = n.fine_lowest,
        fine_highest = n.fine_highest, fine_latest = n.fine_latest,
        coarse_last_at = n.coarse_last_at, coarse_count = n.coarse_count, coarse_total = n.coarse_total, coarse_lowest = n.coarse_lowest,
        coarse_highest = n.coarse_highest, coarse_latest = n.coarse_latest,
        revision = m.revision, unit = m.unit, billers = m.billers, is_ordinary = _is_ordinary(m, s.stripe, s.has_stripes),
        unchecked_below = case when m.limited then '-infinity'::numeric else 'infinity' end, unchecked_until = 'infinity',
        exhausted_at = null, limited_by = null
    where s.series_id = n.series_id and s.stripe = n.stripe;
end
$$;

comment on function _write_series(metrics, series) is
    'Writes the open buckets of a series, and copies what recording has to know of the metric.';
