create or replace function _limit_period(metric metrics, period text)
returns text
language plpgsql
stable
set search_path from current
as $$
declare
    v_period text := coalesce(lower(regexp_replace(btrim(period), ' +', ' ', 'g') collate "C"), metric.period);
begin
    if v_period not in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never', 'cycle') and _parse_duration(v_period) is null then
        raise exception using
            errcode = '22023', message = 'period is not a calendar unit, cycle or a duration', column = 'period',
            detail = format('period %s.', quote_literal(left(_limit_period.period, 80))),
            hint = 'Use minute, hour, day, week, month, year, never, cycle, or a duration such as 5 hours or 30 days.';
    end if;
    return v_period;
end
$$;

comment on function _limit_period(metrics, text) is
    'The period of a limit as it is stored; null is the metric''s own. Raises 22023 for anything but a calendar unit, cycle or a duration.';

-- A trailing window ends now; its oldest bucket counts whole, so that it is read from rollups alone. What is ahead of the clock counts too.
create or replace function _limit_window(
    metric metrics, period text, subject text, at timestamptz, now timestamptz, out since timestamptz, out until timestamptz, out is_trailing boolean
)
language plpgsql
stable
set search_path from current
as $$
declare
    v_cycle tstzrange;
begin
    is_trailing := false;
    if period = 'cycle' then
        v_cycle := _cycle_at(subject, at);
        since := lower(v_cycle);
        until := upper(v_cycle);
    elsif period in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never') then
        since := _bucket_start(period, at);
        until := nullif(_bucket_end(period, since), 'infinity');
    else
        is_trailing := true;
        since := _bucket_start(
            _oldest_bucket(metric.fine_bucket), _add_duration(_limit_window.now, _parse_duration(period), -1, 'UTC'));
    end if;
end
$$;

comment on function _limit_window(metrics, text, text, timestamptz, timestamptz) is
    'The period of a limit that contains an instant, as [since, until); until is null for never and for a trailing window, which is the one '
    'that ends now.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _oldest_bucket(fine_bucket text)
returns text
language sql
immutable parallel safe
as $$
    select case fine_bucket when 'minute' then 'hour' else fine_bucket end
$$;

comment on function _oldest_bucket(text) is 'The kind of bucket that counts whole where a trailing window begins, from a metric''s fine bucket.';
