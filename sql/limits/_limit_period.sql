create or replace function _limit_period(metric metrics, period text)
returns text
language plpgsql
stable
set search_path from current
as $$
declare
    v_period   text := coalesce(lower(regexp_replace(btrim(period), ' +', ' ', 'g') collate "C"), metric.period);
    v_duration interval := _parse_duration(v_period);
begin
    if v_period in ('minute', 'hour', 'day', 'week', 'month', 'year', 'never', 'cycle') then
        return v_period;
    elsif v_duration is null then
        raise exception using
            errcode = '22023', message = 'period is not a calendar unit, cycle or a duration', column = 'period',
            detail = format('period %s.', quote_literal(left(_limit_period.period, 80))),
            hint = 'Use minute, hour, day, week, month, year, never, cycle, or a duration such as 5 hours or 30 days.';
    end if;
    return _duration_text(v_duration);
end
$$;

comment on function _limit_period(metrics, text) is
    'The period of a limit as it is stored; null is the metric''s own. Durations of the same length have one spelling. Raises 22023 for anything '
    'but a calendar unit, cycle or a duration.';

-- One day is written as 24 hours, which is not taken for the calendar day.
create or replace function _duration_text(duration interval)
returns text
language sql
immutable parallel safe
set search_path from current
as $$
    select string_agg(format('%s %s%s', p.number, p.unit, case when p.number > 1 then 's' end), ' ' order by p.ordinal)
    from (select (extract(year from duration) * 12 + extract(month from duration))::bigint) m (months)
    cross join lateral (select extract(epoch from duration - make_interval(months => m.months::integer))::bigint) s (seconds)
    cross join lateral (values
        (1, case when m.months % 12 = 0 then m.months / 12 else m.months end, case when m.months % 12 = 0 then 'year' else 'month' end),
        (2, s.seconds / case when s.seconds % 86400 = 0 and s.seconds > 86400 then 86400 when s.seconds % 3600 = 0 then 3600
                             when s.seconds % 60 = 0 then 60 else 1 end,
            case when s.seconds % 86400 = 0 and s.seconds > 86400 then 'day' when s.seconds % 3600 = 0 then 'hour'
                 when s.seconds % 60 = 0 then 'minute' else 'second' end)
    ) p (ordinal, number, unit)
    where p.number > 0
$$;

comment on function _duration_text(interval) is
    'The one spelling of a duration as _parse_duration() returns it: years or months, then the largest of days, hours, minutes and seconds that is '
    'whole.';

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
    'The period of a limit that contains an instant, as [since, until); until is null for never and for a trailing window, which is the one that '
    'ends now.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _oldest_bucket(fine_bucket text)
returns text
language sql
immutable parallel safe
as $$
    select case fine_bucket when 'minute' then 'hour' else fine_bucket end
$$;

comment on function _oldest_bucket(text) is 'The kind of bucket that counts whole where a trailing window begins, from a metric''s fine bucket.';
