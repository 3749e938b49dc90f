create or replace function _outlook(metric metrics, subject text, since timestamptz, until timestamptz, at timestamptz, known_since timestamptz)
returns usage_outlook
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := _outlook.metric;
    v_history usage_history := _history(v_metric, _outlook.subject, _outlook.at);
    v_outlook usage_outlook;
begin
    v_outlook.metric := v_metric.key;
    v_outlook.at := _outlook.at;
    v_outlook.length := extract(epoch from _outlook.until - _outlook.at);
    v_outlook.history_days := floor(extract(epoch from _outlook.at - v_history.first_at) / 86400);
    if _outlook.at > _outlook.since then
        select u.quantity, u.event_count into v_outlook.used, v_outlook.used_events
        from _measured_usage(v_metric, _outlook.subject, _outlook.since, _outlook.at, null) u;
    else
        v_outlook.used := coalesce(_carried_value(v_metric, _find_series(v_metric.key, _outlook.subject), _outlook.at), 0);
        v_outlook.used_events := 0;
    end if;
    select k.method, k.reason into v_outlook.method, v_outlook.reason from _known_outlook(v_metric, v_history, _outlook.at, known_since) k;
    if v_outlook.method = 'unchanged' and v_metric.aggregate in ('sum', 'count', 'unique') then
        v_outlook.low := 0;
        v_outlook.expected := 0;
        v_outlook.high := 0;
    elsif v_outlook.method is null then
        v_outlook := case
            when v_metric.aggregate in ('sum', 'count') then _sum_outlook(v_outlook, v_history, _outlook.since, _outlook.until)
            when v_metric.aggregate = 'unique' then _unique_outlook(v_outlook, v_metric, _outlook.subject, _outlook.since)
            else _value_outlook(v_outlook, v_metric, _outlook.subject) end;
    end if;
    return v_outlook;
end
$$;

comment on function _outlook(metrics, text, timestamptz, timestamptz, timestamptz, timestamptz) is
    'What is expected of a metric of a subject from an instant to the end of its billing cycle [since, until). known_since: see _known_since().';

-- 0 is said only of what is known: what was not used for a long time, or never by a subject that was there.
create or replace function _known_outlook(
    metric metrics, history usage_history, at timestamptz, known_since timestamptz, out method text, out reason text
)
language plpgsql
immutable
set search_path from current
as $$
declare
    v_metric metrics := _known_outlook.metric;
    v_days   integer := floor(extract(epoch from _known_outlook.at - history.first_at) / 86400);
    v_ended  timestamptz := _bucket_end(coalesce(history.bucket, v_metric.fine_bucket), history.last_at);
    v_idle   integer := floor(extract(epoch from _known_outlook.at - v_ended) / 86400);
    v_known  integer := floor(extract(epoch from _known_outlook.at - greatest(known_since, v_metric.defined_at)) / 86400);
begin
    method := 'none';
    if v_metric.retired_at <= _known_outlook.at then
        method := 'unchanged';
        reason := 'the metric is retired';
    elsif history.first_at is null and v_known >= 7 then
        method := 'unchanged';
        reason := format('never used, by a subject that has used other metrics for %s days', v_known);
    elsif history.first_at is null and known_since is null then
        reason := 'the subject has used nothing before';
    elsif history.first_at is null then
        reason := 'never used, and the subject or the metric is not 7 days old';
    elsif history.bucket is null then
        reason := format('the metric keeps no buckets of hours or days (rollup %s)', v_metric.rollup);
    elsif v_days < 7 or history.weeks < 1 then
        reason := format('too little history: %s of at least 7 days', v_days);
    elsif v_idle >= 28 then
        method := 'unchanged';
        reason := format('not used for %s days', v_idle);
    elsif v_idle >= 7 and v_idle > history.gap and v_metric.aggregate in ('sum', 'count') then
        reason := format('usage stopped %s days ago, after gaps of at most %s days', v_idle, greatest(history.gap - 1, 0));
    else
        method := null;
    end if;
end
$$;

comment on function _known_outlook(metrics, usage_history, timestamptz, timestamptz) is
    'Whether nothing can be said (none), or nothing more is expected (unchanged), and why; null: a method says what is expected.';

create or replace function _known_since(subject text, at timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return (
        select min(_first_use(s.series_id, m.fine_bucket, _open_rollups(m, s.series_id), _known_since.at))
        from metrics m
        cross join lateral (
            select s.series_id
            from series s
            where s.metric = m.key and s.subject = _known_since.subject and s.stripe = 0
            offset 0
        ) s);
end
$$;

comment on function _known_since(text, timestamptz) is 'When the first event of a subject before an instant was, of any metric; null without one.';
