-- Most subjects are left out by one look-up each. What it does not see, the open buckets of stripes, only makes it leave out fewer.
create or replace function _judge_window(alert spike_alerts, since timestamptz)
returns bigint
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    c_page       constant integer := 10000;
    v_metric     metrics;
    v_cut        window_cut;
    v_first      timestamptz := date_bin(alert.within, _judge_window.since - alert.baseline, timestamptz '1969-12-29 00:00:00+00');
    v_ids        integer[];
    v_subjects   text[];
    v_quantities numeric[];
    v_count      bigint := 0;
begin
    select * into v_metric from metrics m where m.key = alert.metric;
    if alert.subject is not null then
        return _judge_usage(alert, v_metric, alert.subject, _judge_window.since,
                            (_window_usage(v_metric, alert.subject, _judge_window.since, _judge_window.since + alert.within)).quantity);
    end if;
    v_cut := _cut_window(v_metric, _judge_window.since, _judge_window.since + alert.within);
    loop
        select array_agg(u.series_id), array_agg(u.subject), array_agg(u.quantity) into v_ids, v_subjects, v_quantities
        from _subject_usage(v_metric, v_cut, v_subjects[cardinality(v_subjects)], c_page) u;
        exit when v_ids is null;
        v_count := v_count + (
            select coalesce(sum(_judge_usage(alert, v_metric, u.subject, _judge_window.since, u.quantity)), 0)
            from unnest(v_ids, v_subjects, v_quantities) u (series_id, subject, quantity)
            cross join lateral (
                select sum(r.total) as total, date_bin(alert.within, min(r.bucket_start), timestamptz '1969-12-29 00:00:00+00') as first
                from rollups r
                where r.series_id = u.series_id and r.bucket = v_metric.fine_bucket
                  and r.bucket_start >= v_first and r.bucket_start < _judge_window.since
                offset 0
            ) r
            where u.quantity > 0 and (r.total is null or u.quantity >= alert.factor * r.total
                * extract(epoch from alert.within) / extract(epoch from _judge_window.since - r.first)));
        exit when cardinality(v_ids) < c_page;
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
    if coalesce(_judge_usage.quantity, 0) <= 0 or not _is_home(_judge_usage.subject) or exists (
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
