-- Rollups of a series and stripe are written only under the lock of its row in series.
create or replace function _add_to_rollup(
    series_id integer, stripe smallint, bucket text, bucket_start timestamptz, event_count bigint, last_at timestamptz,
    total numeric, lowest numeric, highest numeric, latest numeric[]
)
returns rollups
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rollup rollups;
begin
    insert into rollups as r (series_id, stripe, bucket, bucket_start, event_count, last_at, total, lowest, highest, latest)
    values (_add_to_rollup.series_id, _add_to_rollup.stripe, _add_to_rollup.bucket, _add_to_rollup.bucket_start, _add_to_rollup.event_count,
            _add_to_rollup.last_at, _add_to_rollup.total, _add_to_rollup.lowest, _add_to_rollup.highest, _add_to_rollup.latest)
    on conflict (series_id, bucket, bucket_start, stripe) do update set
        event_count = r.event_count + excluded.event_count,
        last_at = greatest(r.last_at, excluded.last_at),
        total = r.total + excluded.total,
        lowest = least(r.lowest, excluded.lowest),
        highest = greatest(r.highest, excluded.highest),
        latest = greatest(r.latest, excluded.latest)
    returning * into v_rollup;
    return v_rollup;
end
$$;

comment on function _add_to_rollup(integer, smallint, text, timestamptz, bigint, timestamptz, numeric, numeric, numeric, numeric[]) is
    'Adds an amount to the rollup of a bucket that is not open; returns the rollup.';

create or replace function _take_rollup(series_id integer, stripe smallint, bucket text, bucket_start timestamptz)
returns rollups
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rollup rollups;
begin
    delete from rollups r
    where r.series_id = _take_rollup.series_id and r.bucket = _take_rollup.bucket and r.bucket_start = _take_rollup.bucket_start
      and r.stripe = _take_rollup.stripe
    returning * into v_rollup;
    return v_rollup;
end
$$;

comment on function _take_rollup(integer, smallint, text, timestamptz) is
    'Removes the rollup of a bucket, which is to be opened, and returns it; null if there is none.';

create or replace function _fine_half(series series, bucket text)
returns rollups
language sql
immutable
set search_path from current
as $$
    select (series.fine_start, series.fine_count, series.fine_last_at, series.series_id, series.stripe, bucket,
            series.fine_total, series.fine_lowest, series.fine_highest, series.fine_latest)::rollups
$$;

comment on function _fine_half(series, text) is 'The open fine bucket of a row of series, as a rollup.';

create or replace function _coarse_half(series series, bucket text)
returns rollups
language sql
immutable
set search_path from current
as $$
    select (series.coarse_start, series.coarse_count, series.coarse_last_at, series.series_id, series.stripe, bucket,
            series.coarse_total, series.coarse_lowest, series.coarse_highest, series.coarse_latest)::rollups
$$;

comment on function _coarse_half(series, text) is 'The open coarse bucket of a row of series, as a rollup.';
