-- Buckets only. Of days, those that have ended; of hours, too: the one that contains the instant is not whole yet.
create or replace function _history(metric metrics, subject text, at timestamptz)
returns usage_history
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_fine    text := (_history.metric).fine_bucket;
    v_series  integer := _find_series((_history.metric).key, _history.subject);
    v_open    rollups[] := _open_rollups(_history.metric, v_series);
    v_history usage_history;
    v_from    timestamptz;
    v_before  timestamptz;
begin
    v_history.bucket := case when v_fine in ('minute', 'hour') then 'hour' when v_fine = 'day' then 'day' end;
    v_history.origin := _bucket_start(coalesce(v_history.bucket, 'hour'), _history.at);
    v_from := v_history.origin - interval '672 hours';
    v_before := case when _is_used_since(_history.metric, _history.subject, v_series, v_open, v_history.origin, _history.at)
                     then _history.at else v_history.origin end;
    v_history.first_at := _first_use(v_series, v_fine, v_open, v_before);
    v_history.last_at := _last_use(v_series, v_fine, v_open, v_before);
    if v_history.bucket = 'hour' then
        v_history.first_at := _bucket_start('hour', v_history.first_at);
        v_history.last_at := _bucket_start('hour', v_history.last_at);
    end if;
    v_history.weeks := least(4, floor(extract(epoch from v_history.origin - v_history.first_at) / 604800));
    if v_history.bucket is null or v_history.first_at is null or (_history.metric).aggregate not in ('sum', 'count') then
        return v_history;
    end if;
    select t.totals, t.event_count into v_history.totals, v_history.event_count
    from _hourly_totals(v_series, v_fine, v_open, v_from, v_history.origin) t;
    v_history.gap := _longest_gap(v_history.totals, floor(extract(epoch from v_history.last_at - v_from) / 86400)::integer);
    return v_history;
end
$$;

comment on function _history(metrics, text, timestamptz) is
    'What buckets have of a subject and metric before an instant; totals and gap only of a sum or count.';

-- A loop, because it is twice as fast as joining the buckets with a list of the hours. A day is spread over its hours.
create or replace function _hourly_totals(
    series_id integer, bucket text, open rollups[], since timestamptz, until timestamptz, out totals numeric[], out event_count bigint
)
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_found record;
    v_part  numeric;
begin
    totals := array_fill(0::numeric, array[672]);
    event_count := 0;
    for v_found in
        select floor(extract(epoch from b.bucket_start - _hourly_totals.since) / 3600)::integer + 1 as hour, sum(b.total) as total,
               sum(b.event_count) as events
        from (
            select r.bucket_start, r.total, r.event_count
            from rollups r
            where r.series_id = _hourly_totals.series_id and r.bucket = _hourly_totals.bucket
              and r.bucket_start >= _hourly_totals.since and r.bucket_start < _hourly_totals.until
            union all
            select o.bucket_start, o.total, o.event_count
            from unnest(_hourly_totals.open) o
            where o.bucket = _hourly_totals.bucket and o.bucket_start >= _hourly_totals.since and o.bucket_start < _hourly_totals.until
        ) b
        group by 1
    loop
        event_count := event_count + v_found.events;
        if _hourly_totals.bucket <> 'day' then
            totals[v_found.hour] := coalesce(v_found.total, 0);
        else
            v_part := coalesce(v_found.total / 24, 0);
            for v_hour in v_found.hour .. v_found.hour + 23 loop
                totals[v_hour] := v_part;
            end loop;
        end if;
    end loop;
end
$$;

comment on function _hourly_totals(integer, text, rollups[], timestamptz, timestamptz) is
    'What each of the 672 hours from since until has, the oldest first, and how many events they have together.';

-- The bucket that contains the instant may have events after it, so the log is asked.
create or replace function _is_used_since(
    metric metrics, subject text, series_id integer, open rollups[], since timestamptz, at timestamptz
)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return _is_used_since.at > _is_used_since.since
        and exists (
            select
            from _buckets_between(_is_used_since.series_id, (_is_used_since.metric).fine_bucket, _is_used_since.open, _is_used_since.since,
                _is_used_since.at) b
            where b.event_count > 0)
        and (_measured_usage(_is_used_since.metric, _is_used_since.subject, _is_used_since.since, _is_used_since.at, null)).event_count > 0;
end
$$;

comment on function _is_used_since(metrics, text, integer, rollups[], timestamptz, timestamptz) is
    'Whether a series has events in [since, at), a part of an hour or day.';

create or replace function _longest_gap(totals numeric[], last_day integer)
returns integer
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_total  numeric;
    v_hour   integer := 0;
    v_before integer := 0;
    v_gap    integer := 0;
begin
    foreach v_total in array totals loop
        exit when v_hour / 24 > last_day;
        if v_total <> 0 then
            v_gap := greatest(v_gap, v_hour / 24 - v_before);
            v_before := v_hour / 24;
        end if;
        v_hour := v_hour + 1;
    end loop;
    return v_gap;
end
$$;

comment on function _longest_gap(numeric[], integer) is
    'Of the 672 hours of a history, the most days from one day with usage to the next, the first day included, up to a day.';
