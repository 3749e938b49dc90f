create or replace function _check_spike_alert(metric metrics, factor numeric, subject text, within interval, baseline interval)
returns void
language plpgsql
immutable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_length  interval;
    v_problem text;
begin
    if subject is not null then
        perform _check_name('subject', _check_spike_alert.subject, 512);
    end if;
    if factor is null or within is null or baseline is null then
        raise exception using errcode = '22004', message = 'factor, within or baseline is null', column = case when factor is null then 'factor'
            when within is null then 'within' else 'baseline' end, hint = 'Pass a factor such as 3, and intervals such as 1 hour and 14 days.';
    end if;
    v_problem := case
        when factor <= 1 or factor = 'NaN' or factor > 1000000 then 'factor'
        when not isfinite(within) or extract(year from within) <> 0 or extract(month from within) <> 0
            or within < interval '1 minute' or within > interval '31 days' then 'within'
        when not isfinite(baseline) or extract(year from baseline) <> 0 or extract(month from baseline) <> 0
            or baseline < 3 * within or baseline > interval '366 days' then 'baseline'
    end;
    if v_problem is not null then
        raise exception using errcode = '22023', message = format('%s is out of range', v_problem), column = v_problem,
            detail = format('factor %s, within %s, baseline %s.', left(factor::text, 40), within, baseline),
            hint = 'factor: above 1, at most 1,000,000; within: 1 minute to 31 days; baseline: three times that to 366 days; no months.';
    end if;
    v_length := case metric.fine_bucket
        when 'minute' then interval '1 minute' when 'hour' then interval '1 hour' when 'day' then interval '24 hours' end;
    if metric.aggregate not in ('sum', 'count') then
        raise exception using errcode = 'UM002', message = 'the metric cannot be judged for spikes', column = 'metric',
            detail = format('metric %s: %s.', quote_literal(metric.key), metric.aggregate), hint = 'Only a sum or count adds up.';
    elsif v_length is null or mod(extract(epoch from within), extract(epoch from v_length)) <> 0 then
        raise exception using errcode = 'UM002', message = 'the metric cannot be judged for spikes', column = 'within',
            detail = format('metric %s: buckets of one %s; within %s.', quote_literal(metric.key), metric.fine_bucket, within),
            hint = 'Use a window of whole hours (minutes, days), as the metric''s rollup is.';
    end if;
end
$$;

comment on function _check_spike_alert(metrics, numeric, text, interval, interval) is
    'Raises 22004 or 22023 for a bad value of a spike alert, UM002 for a metric that does not add up or has coarser rollups.';

create or replace function _judge_window(alert spike_alerts, since timestamptz)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    c_page   constant integer := 10000;
    v_metric metrics;
    v_cut    window_cut;
    v_after  text;
    v_found  record;
    v_rows   integer;
    v_count  bigint := 0;
begin
    select * into v_metric from metrics m where m.key = alert.metric;
    if alert.subject is not null then
        return _judge_usage(alert, v_metric, alert.subject, _judge_window.since,
                            (_window_usage(v_metric, alert.subject, _judge_window.since, _judge_window.since + alert.within)).quantity);
    end if;
    v_cut := _cut_window(v_metric, _judge_window.since, _judge_window.since + alert.within);
    loop
        v_rows := 0;
        for v_found in select * from _subject_usage(v_metric, v_cut, v_after, c_page) loop
            v_rows := v_rows + 1;
            v_after := v_found.subject;
            v_count := v_count + _judge_usage(alert, v_metric, v_found.subject, _judge_window.since, v_found.quantity);
        end loop;
        exit when v_rows < c_page;
    end loop;
    return v_count;
end
$$;

comment on function _judge_window(spike_alerts, timestamptz) is
    'Judges the window of an alert that begins at since; returns how many spikes it found.';

-- A subject that has begun within the baseline is compared with its own history, if that is three windows long.
create or replace function _judge_usage(alert spike_alerts, metric metrics, subject text, since timestamptz, quantity numeric)
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_first    timestamptz := date_bin(alert.within, _judge_usage.since - alert.baseline, timestamptz '1969-12-29 00:00:00+00');
    v_usual    numeric;
    v_expected numeric;
begin
    if coalesce(_judge_usage.quantity, 0) <= 0 or exists (
        select from detected_spikes d
        where d.spike_alert_id = alert.spike_alert_id and d.subject = _judge_usage.subject and d.window_start = _judge_usage.since) then
        return 0;
    end if;
    v_first := greatest(v_first, date_bin(alert.within, _first_usage(_judge_usage.metric, _judge_usage.subject, v_first),
                                          timestamptz '1969-12-29 00:00:00+00'));
    if v_first is null or v_first > _judge_usage.since - 3 * alert.within then
        return 0;
    end if;
    v_usual := (_window_usage(_judge_usage.metric, _judge_usage.subject, v_first, _judge_usage.since)).quantity;
    v_expected := v_usual * extract(epoch from alert.within) / extract(epoch from _judge_usage.since - v_first);
    if v_expected <= 0 or _judge_usage.quantity < alert.factor * v_expected then
        return 0;
    end if;
    insert into detected_spikes (spike_alert_id, subject, window_start)
    values (alert.spike_alert_id, _judge_usage.subject, _judge_usage.since)
    on conflict do nothing;
    if not found then
        return 0;
    end if;
    perform _notify('spike.detected', _judge_usage.subject, (_judge_usage.metric).key, jsonb_build_object(
        'spike_alert_id', alert.spike_alert_id, 'since', _judge_usage.since, 'until', _judge_usage.since + alert.within,
        'quantity', trim_scale(_judge_usage.quantity), 'expected', trim_scale(round(v_expected, 6)), 'factor', alert.factor,
        'ratio', trim_scale(round(_judge_usage.quantity / v_expected, 2)), 'unit', (_judge_usage.metric).unit));
    return 1;
end
$$;

comment on function _judge_usage(spike_alerts, metrics, text, timestamptz, numeric) is
    'Writes spike.detected if the usage of a window is a spike by the alert and has not been found before; returns 1 then, else 0.';

create or replace function _first_usage(metric metrics, subject text, since timestamptz)
returns timestamptz
language sql
stable
set search_path from current
set enable_seqscan to off
as $$
    select min(least(r.first, s.fine_start))
    from series s
    cross join lateral (
        select min(r.bucket_start) as first from rollups r
        where r.series_id = s.series_id and r.bucket = metric.fine_bucket and r.bucket_start >= _first_usage.since
    ) r
    where s.metric = (_first_usage.metric).key and s.subject = _first_usage.subject
      and (r.first is not null or s.fine_start >= _first_usage.since)
$$;

comment on function _first_usage(metrics, text, timestamptz) is
    'The start of the first bucket at or after since in which a subject has used a metric; null if there is none.';
