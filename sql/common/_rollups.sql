-- The only place that computes a metric's quantity from a rollup. Trimmed, so that it does not depend on how the summands were written.
create or replace function _quantity(
    aggregate text, event_count bigint, total numeric, lowest numeric, highest numeric, latest numeric
)
returns numeric
language sql
immutable parallel safe
as $$
    select trim_scale(case aggregate
        when 'avg' then total / nullif(event_count, 0)
        when 'min' then lowest
        when 'max' then highest
        when 'last' then latest
        else total
    end)
$$;

comment on function _quantity(text, bigint, numeric, numeric, numeric, numeric) is
    'The quantity of a rollup, by the metric''s aggregate; avg is total / event_count.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _latest(at timestamptz, event_id bigint, quantity numeric)
returns numeric[]
language sql
stable parallel safe
as $$
    select array[extract(epoch from at), event_id, quantity]
$$;

comment on function _latest(timestamptz, bigint, numeric) is
    'An event as rollups.latest has it: the greatest of several is the latest by time, then the one recorded last.';

-- A series is found by its texts once; everything else is read by its id.
create or replace function _find_series(metric text, subject text)
returns integer
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select s.series_id from series s where s.metric = _find_series.metric and s.subject = _find_series.subject and s.stripe = 0);
end
$$;

comment on function _find_series(text, text) is 'The id of the series of a metric and subject; null if nothing was ever recorded.';

-- An open bucket is in series and not in rollups, so whoever reads rollups adds these. They are an array: for a statement that is planned
-- for its values they are a constant.
create or replace function _open_rollups(metric metrics, series_id integer)
returns rollups[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_fine   text := (_open_rollups.metric).fine_bucket;
    v_coarse text := (_open_rollups.metric).coarse_bucket;
begin
    return array(
        select o.rollup
        from series s
        cross join lateral (values
            ((s.coarse_start, s.coarse_count, s.coarse_last_at, s.series_id, s.stripe, v_coarse,
              s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest)::rollups, s.coarse_last_at > '-infinity'),
            ((s.fine_start, s.fine_count, s.fine_last_at, s.series_id, s.stripe, v_fine,
              s.fine_total, s.fine_lowest, s.fine_highest, s.fine_latest)::rollups, s.fine_last_at > '-infinity' and v_fine <> v_coarse)
        ) o (rollup, has_events)
        where s.series_id = _open_rollups.series_id and o.has_events);
end
$$;

comment on function _open_rollups(metrics, integer) is
    'The open buckets of a series that have events, of all its stripes and of both kinds, as rollups.';

create or replace function _replace_rollups(buckets rollups[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into rollups as r
    select b.* from unnest(buckets) b
    order by b.series_id, b.bucket, b.bucket_start
    on conflict (series_id, bucket, bucket_start, stripe) do update set
        event_count = excluded.event_count, last_at = excluded.last_at, total = excluded.total,
        lowest = excluded.lowest, highest = excluded.highest, latest = excluded.latest;
end
$$;

comment on function _replace_rollups(rollups[]) is 'Writes rollups in place of those that are there.';
