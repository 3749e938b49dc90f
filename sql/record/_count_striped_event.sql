-- The short way of record() for the stripe of this session.
create or replace function _count_striped_event(
    metric metrics, subject text, event_id bigint, at timestamptz, quantity numeric, idempotency_key text, metadata jsonb, total boolean
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric   metrics := _count_striped_event.metric;
    v_stripe   smallint := _session_stripe();  -- in the condition, it would be called for every stripe of the series
    v_series   integer;
    v_after    timestamptz;
    v_recorded recorded;
begin
    update series s set
        fine_last_at = greatest(s.fine_last_at, _count_striped_event.at), coarse_last_at = greatest(s.coarse_last_at, _count_striped_event.at),
        version = s.version + 1, fine_count = s.fine_count + 1, coarse_count = s.coarse_count + 1,
        fine_total = s.fine_total + _count_striped_event.quantity, coarse_total = s.coarse_total + _count_striped_event.quantity
    where s.metric = v_metric.key and s.subject = _count_striped_event.subject and s.stripe = v_stripe and s.revision = v_metric.revision
      and _count_striped_event.at >= s.fine_start and _count_striped_event.at < s.fine_end
    returning s.series_id, s.coarse_start, nullif(s.coarse_end, 'infinity'), s.recorded_after
    into v_series, v_recorded.period_start, v_recorded.period_end, v_after;
    if v_series is null then
        return _count_event(v_metric, _count_striped_event.subject, _count_striped_event.event_id, _count_striped_event.at,
                            _count_striped_event.quantity, null, _count_striped_event.idempotency_key, _count_striped_event.metadata,
                            _count_striped_event.total);
    end if;
    insert into events (event_id, at, recorded_at, series_id, quantity, idempotency_key, metadata)
    values (_count_striped_event.event_id, _count_striped_event.at, greatest(clock_timestamp(), v_after), v_series,
            _count_striped_event.quantity, _count_striped_event.idempotency_key, _count_striped_event.metadata);
    v_recorded.event_id := _count_striped_event.event_id;
    v_recorded.outcome := 'recorded';
    v_recorded.unit := v_metric.unit;
    if _count_striped_event.total then
        v_recorded.quantity := (
            select trim_scale(coalesce(sum(s.coarse_total) filter (where s.coarse_start = v_recorded.period_start), 0) + coalesce((
                select sum(r.total) from rollups r
                where r.series_id = v_series and r.bucket = v_metric.period and r.bucket_start = v_recorded.period_start), 0))
            from series s
            where s.metric = v_metric.key and s.subject = _count_striped_event.subject);
    end if;
    return v_recorded;
end
$$;

comment on function _count_striped_event(metrics, text, bigint, timestamptz, numeric, text, jsonb, boolean) is
    'Counts one event of an additive, striped metric that is not reported, whose period is no shorter than its rollup.';
