-- An event is added to two buckets, each either open, in the row of the series, or not, in rollups. An event of a later fine bucket closes the
-- open ones first. One that is ahead of the clock's bucket does not: it would make the events of the present late.
create or replace function _count_event(
    metric metrics, subject text, event_id bigint, at timestamptz, quantity numeric, member text, idempotency_key text, metadata jsonb,
    total boolean
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric   metrics := _count_event.metric;
    v_new_in   text[];
    v_series   series;
    v_added    numeric := case when v_metric.aggregate in ('sum', 'count', 'avg') then _count_event.quantity end;
    v_period   rollups;
    v_recorded recorded;
begin
    if v_metric.aggregate = 'unique' then
        v_new_in := _add_event_member(v_metric, _series_id(v_metric, _count_event.subject, _count_event.at), _count_event.at,
                                      _count_event.member);
    end if;
    v_series := _lock_series(v_metric, _count_event.subject, case when v_metric.striped then _session_stripe() else 0 end::smallint,
                             _count_event.at);
    insert into events (event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata)
    values (_count_event.event_id, _count_event.at, clock_timestamp(), v_series.series_id, _count_event.quantity, _count_event.member,
            _count_event.idempotency_key, _count_event.metadata);
    if v_metric.billers is not null then
        insert into unreported (at, event_id, series_id, biller)
        select _count_event.at, _count_event.event_id, v_series.series_id, unnest(v_metric.billers);
    end if;
    v_period := _add_to_series(v_metric, v_series, _count_event.at,
        case when v_metric.aggregate = 'unique' then (v_metric.fine_bucket = any (v_new_in))::integer else v_added end,
        case when v_metric.aggregate = 'unique' then (v_metric.coarse_bucket = any (v_new_in))::integer else v_added end,
        case v_metric.aggregate when 'min' then _count_event.quantity end,
        case v_metric.aggregate when 'max' then _count_event.quantity end,
        case v_metric.aggregate when 'last' then array[extract(epoch from _count_event.at), _count_event.event_id, _count_event.quantity] end);

    v_recorded.event_id := _count_event.event_id;
    v_recorded.outcome := 'recorded';
    v_recorded.unit := v_metric.unit;
    v_recorded.period_start := v_period.bucket_start;
    v_recorded.period_end := nullif(_bucket_end(v_metric.period, v_period.bucket_start), 'infinity');
    if _count_event.total and v_series.has_stripes then
        v_recorded.quantity := (_window_usage(v_metric, _count_event.subject, v_period.bucket_start,
                                              _bucket_end(v_metric.period, v_period.bucket_start))).quantity;
    elsif _count_event.total then
        v_recorded.quantity := _quantity(v_metric.aggregate, v_period.event_count, v_period.total, v_period.lowest, v_period.highest,
                                         v_period.latest[3]);
    end if;
    return v_recorded;
end
$$;

comment on function _count_event(metrics, text, bigint, timestamptz, numeric, text, text, jsonb, boolean) is
    'Counts one new, valid event whose key, if it has one, is already inserted; returns the result of record().';

-- The caller has locked the row. What an aggregate does not need is null, which changes nothing.
create or replace function _add_to_series(
    metric metrics, series series, at timestamptz, fine_total numeric, coarse_total numeric, lowest numeric, highest numeric, latest numeric[]
)
returns rollups
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric    metrics := _add_to_series.metric;
    v_series    series := _add_to_series.series;
    v_fine      timestamptz := _bucket_start(v_metric.fine_bucket, _add_to_series.at);
    v_coarse    timestamptz := _bucket_start(v_metric.coarse_bucket, _add_to_series.at);
    v_ahead     boolean := v_fine > now();
    v_in_fine   boolean;
    v_in_coarse boolean;
    v_rollup    rollups;
    v_period    rollups;
begin
    if not v_ahead and (v_fine > v_series.fine_start or v_series.coarse_count = 0) then
        v_series := _open_buckets(v_metric, v_series, v_fine);
    end if;
    v_in_fine := v_fine = v_series.fine_start;
    v_in_coarse := v_coarse = v_series.coarse_start;
    if not v_in_fine and v_metric.fine_bucket <> v_metric.coarse_bucket then
        v_period := _add_to_rollup(v_series.series_id, v_series.stripe, v_metric.fine_bucket, v_fine, 1, at, fine_total, lowest, highest, latest);
    end if;
    if not v_in_coarse then
        v_rollup := _add_to_rollup(v_series.series_id, v_series.stripe, v_metric.coarse_bucket, v_coarse, 1, at, coarse_total, lowest, highest,
                                   latest);
    end if;
    if v_in_fine then
        v_series.fine_count := v_series.fine_count + 1;
        v_series.fine_last_at := greatest(v_series.fine_last_at, at);
        v_series.fine_total := v_series.fine_total + fine_total;
        v_series.fine_lowest := least(v_series.fine_lowest, lowest);
        v_series.fine_highest := greatest(v_series.fine_highest, highest);
        v_series.fine_latest := greatest(v_series.fine_latest, latest);
    elsif v_ahead then
        v_series.ahead_at := greatest(v_series.ahead_at, at);
    end if;
    if v_in_coarse then
        v_series.coarse_count := v_series.coarse_count + 1;
        v_series.coarse_last_at := greatest(v_series.coarse_last_at, at);
        v_series.coarse_total := v_series.coarse_total + coarse_total;
        v_series.coarse_lowest := least(v_series.coarse_lowest, lowest);
        v_series.coarse_highest := greatest(v_series.coarse_highest, highest);
        v_series.coarse_latest := greatest(v_series.coarse_latest, latest);
    end if;
    perform _write_series(v_metric, v_series, v_fine);
    return case
        when v_metric.period <> v_metric.coarse_bucket and v_in_fine then _fine_half(v_series, v_metric.period)
        when v_metric.period <> v_metric.coarse_bucket then v_period
        when v_in_coarse then _coarse_half(v_series, v_metric.period)
        else v_rollup end;
end
$$;

comment on function _add_to_series(metrics, series, timestamptz, numeric, numeric, numeric, numeric, numeric[]) is
    'Adds one event to its two buckets; returns the one of the metric''s period, as far as it is in this stripe.';

-- The row changes with every event, also where only rollups do: its version tells that something of the series has changed.
create or replace function _write_series(metric metrics, series series, newest_start timestamptz)
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
        newest_start = greatest(s.newest_start, _write_series.newest_start), ahead_at = n.ahead_at, version = s.version + 1,
        fine_last_at = n.fine_last_at, fine_count = n.fine_count, fine_total = n.fine_total, fine_lowest = n.fine_lowest,
        fine_highest = n.fine_highest, fine_latest = n.fine_latest,
        coarse_last_at = n.coarse_last_at, coarse_count = n.coarse_count, coarse_total = n.coarse_total, coarse_lowest = n.coarse_lowest,
        coarse_highest = n.coarse_highest, coarse_latest = n.coarse_latest,
        revision = m.revision, unit = m.unit, billers = m.billers, is_ordinary = _is_ordinary(m, s.stripe, s.has_stripes)
    where s.series_id = n.series_id and s.stripe = n.stripe;
end
$$;

comment on function _write_series(metrics, series, timestamptz) is
    'Writes the open buckets of a series, and copies what recording has to know of the metric. newest_start: the fine bucket of what was added.';

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
