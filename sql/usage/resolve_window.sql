create or replace function resolve_window(
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns tstzrange
language plpgsql
stable
security definer
set search_path from current
as $$
declare
    v_now      timestamptz := coalesce(resolve_window.now, now());
    v_period   text := lower(btrim(resolve_window.period) collate "C");
    v_duration interval;
    v_start    timestamptz;
    v_window   tstzrange;
begin
    if _is_open('resolve_window') then perform _check_caller('resolve_window'); end if;
    perform _check_timezone(resolve_window.timezone);
    perform _check_time('now', v_now);
    if v_period is null then
        perform _check_time('since', since), _check_time('until', until);
        if since is null and until is null then
            raise exception using
                errcode = '22023', message = 'no window is given', column = 'period',
                hint = 'Pass a period such as month or 30 days, or since and until.';
        elsif since >= until then
            raise exception using
                errcode = '22023', message = 'the window is empty or reversed', column = 'until',
                detail = format('since %s, until %s.', to_char(since at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                    to_char(until at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
                hint = 'since must be before until: windows include since and exclude until.';
        end if;
        return tstzrange(since, until);
    elsif since is not null or until is not null then
        raise exception using
            errcode = '22023', message = 'both a period and a range are given', column = 'period',
            hint = 'Pass either period, or since and until.';
    elsif v_period = 'never' then
        return tstzrange('1970-01-01 00:00:00+00', null);
    end if;

    if v_period in ('minute', 'hour', 'day', 'week', 'month', 'year') then
        v_start := _calendar_start(v_period, v_now, resolve_window.timezone);
        v_window := tstzrange(v_start, _calendar_end(v_period, v_start, resolve_window.timezone));
        -- An empty range has no bounds, which would mean all time. This happens with time zone files that count leap seconds, for example.
        if not v_window @> v_now then
            raise exception using
                errcode = '22023', message = 'no bucket of the time zone contains this time', column = 'timezone',
                detail = format('timezone %s, period %s.', resolve_window.timezone, v_period),
                hint = 'Use UTC, and check the time zone files of the server.';
        end if;
        perform _check_time('now', v_start), _check_time('now', upper(v_window));
        return v_window;
    end if;
    v_duration := _parse_duration(v_period);
    if v_period = 'cycle' then
        raise exception using
            errcode = '22023', message = 'cycle is a period of a subject', column = 'period', detail = 'There is no subject here.',
            hint = 'Pass since and until: billing_cycle(subject) returns those of the subject''s billing cycle.';
    elsif v_duration is not null then
        -- One microsecond after now, so that the window includes now.
        v_window := tstzrange(_add_duration(v_now, v_duration, -1, resolve_window.timezone), v_now + interval '1 microsecond');
    else
        raise exception using
            errcode = '22023', message = 'period is not a calendar unit or a duration', column = 'period',
            detail = format('period %s.', quote_literal(left(resolve_window.period, 80))),
            hint = 'Use minute, hour, day, week, month, year, never, or a duration such as 15m, 30 days, 2 months, 1h 30m.';
    end if;
    perform _check_time('now', lower(v_window)), _check_time('now', upper(v_window));
    return v_window;
end
$$;

comment on function resolve_window(text, timestamptz, timestamptz, text, timestamptz) is
    'Returns the half-open window [since, until) that the arguments describe; every function with a window uses it. period is a '
    'calendar unit (minute, hour, day, week, month, year), which means the bucket that contains now, in the time zone, with weeks '
    'that start on Monday; or a duration such as 15m, 30 days, 2 months or 1h 30m, which ends with now and includes it, with months '
    'and years by the calendar and days of 24 hours; or never, which means all time. Functions that take a subject have one '
    'more word, cycle: the subject''s billing cycle that contains now, '
    'see billing_cycle(), whatever the time zone; here it is refused. Without a period, since and until are the '
    'window; one of them may be null, which leaves that side open. Raises 22004 for a null timezone, 22023 for any other invalid '
    'argument. '
    'Example: SELECT lower(w) AS since, upper(w) AS until FROM meter.resolve_window(''month'', now => ''2026-06-18T14:30:00Z'') AS w;';
