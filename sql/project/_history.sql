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
    select max(b.bucket_start) into v_history.last_at
    from _buckets_between(v_series, v_fine, v_open, coalesce(v_history.first_at, 'infinity'), v_before) b
    where b.event_count > 0;
    if v_history.bucket = 'hour' then
        v_history.first_at := _bucket_start('hour', v_history.first_at);
        v_history.last_at := _bucket_start('hour', v_history.last_at);
    end if;
    v_history.weeks := least(4, floor(extract(epoch from v_history.origin - v_history.first_at) / 604800));
    if v_history.bucket is null or v_history.first_at is null or (_history.metric).aggregate not in ('sum', 'count') then
        return v_history;
    end if;
    with found as (
        select floor(extract(epoch from b.bucket_start - v_from) / 3600)::integer as hour, sum(b.total) as total,
               sum(b.event_count) as events
        from _buckets_between(v_series, v_fine, v_open, v_from, v_history.origin) b
        group by 1
    ), hours as (
        select h.n as hour, coalesce(case when v_history.bucket = 'day' then f.total / 24 else f.total end, 0) as total,
               coalesce(f.events, 0) as events, f.hour = h.n as is_start
        from generate_series(0, 671) h (n)
        left join found f on f.hour = case when v_history.bucket = 'day' then h.n / 24 * 24 else h.n end
    )
    select array_agg(h.total order by h.hour), sum(h.events) filter (where h.is_start) into v_history.totals, v_history.event_count
    from hours h;
    v_history.gap := _longest_gap(v_history.totals, floor(extract(epoch from v_history.last_at - v_from) / 86400)::integer);
    return v_history;
end
$$;

comment on function _history(metrics, text, timestamptz) is
    'What buckets have of a subject and metric before an instant; totals and gap only of a sum or count.';

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
