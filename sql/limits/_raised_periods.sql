create or replace function _raised_periods(
    metric metrics, series series, period text, first timestamptz, at timestamptz, now timestamptz, is_balance boolean
)
returns top_up_segment[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    m          metrics := _raised_periods.metric;
    v_subject  text := (_raised_periods.series).subject;
    v_asked    record := _limit_window(m, _raised_periods.period, v_subject, _raised_periods.at, _raised_periods.now);
    v_first    timestamptz;
    v_from     timestamptz;
    v_found    record;
    v_least    numeric := _least_quota(m.key, v_subject, _raised_periods.period);
    v_before   timestamptz;
    v_used     numeric;
    v_version  limits;
    v_segment  top_up_segment;
    v_segments top_up_segment[] := '{}';
begin
    select w.since into v_first
    from _limit_window(m, _raised_periods.period, v_subject, _raised_periods.first, _raised_periods.now) w;
    -- One period more, for what goes over from it.
    select w.since into v_from
    from _limit_window(m, _raised_periods.period, v_subject, v_first - interval '1 microsecond', _raised_periods.now) w;
    for v_found in
        select u.period_since as since, u.period_until as until, sum(u.used) as used
        from _period_amounts(m, _raised_periods.series, _raised_periods.period, v_from, v_asked.since, v_asked.until, _raised_periods.at,
                             _raised_periods.now, _raised_periods.is_balance) u
        group by 1, 2
        order by 1
    loop
        if v_found.since >= v_first and (v_found.used > v_least or v_found.since = v_asked.since) then
            v_version := _raised_version(m.key, v_subject, _raised_periods.period,
                                         least(_raised_periods.now, v_found.until - interval '1 microsecond'));
            if v_version.quota < v_found.used or v_found.since = v_asked.since and v_version.quota is not null then
                v_segment := (v_found.since, case when _raised_periods.is_balance and v_found.since = v_asked.since
                                                  then _raised_periods.at + interval '1 microsecond' else v_found.until end,
                              _raised_periods.period, v_found.since, v_version.quota, v_found.used, true, null, null, null, null)::top_up_segment;
                if v_found.since <= _raised_periods.now and _raised_periods.period <> 'never' then
                    v_segment := _with_rollover(m, v_subject, _raised_periods.period, v_segment, v_before, v_used);
                end if;
                v_segments := v_segments || v_segment;
            end if;
        end if;
        v_before := v_found.since;
        v_used := v_found.used;
    end loop;
    return v_segments;
end
$$;

comment on function _raised_periods(metrics, series, text, timestamptz, timestamptz, timestamptz, boolean) is
    'The periods of a limit that take from top-ups, and the one that contains an instant, in order, uncut. is_balance: only usage up to the '
    'instant counts, and the period of the instant ends with it.';

create or replace function _with_rollover(metric metrics, subject text, period text, segment top_up_segment, before timestamptz, used numeric)
returns top_up_segment
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_window  record := _limit_window(metric, period, subject, (segment).since - interval '1 microsecond', (segment).since);
    v_version limits := _raised_version((_with_rollover.metric).key, _with_rollover.subject, _with_rollover.period,
                                        v_window.until - interval '1 microsecond');
begin
    if v_version.quota is not null and (v_version.rollover_min is not null or v_version.rollover_max is not null)
        and _has_held(v_version, _with_rollover.subject, v_window.since, v_window.until)
    then
        segment.rollover_since := v_window.since;
        segment.rollover_left := v_version.quota - case when before = v_window.since then used else 0 end;
        segment.rollover_min := v_version.rollover_min;
        segment.rollover_max := v_version.rollover_max;
    end if;
    return segment;
end
$$;

comment on function _with_rollover(metrics, text, text, top_up_segment, timestamptz, numeric) is
    'A period, with what goes over to it from the period before, which is over and has been limited all the time. used: what is used of '
    'that period if before is its start; otherwise nothing is.';

create or replace function _least_quota(metric text, subject text, period text)
returns numeric
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return (
        select min(q.quota)
        from (
            select l.quota from limits l
            where l.metric = _least_quota.metric and l.subject = _least_quota.subject and l.name = 'default' and l.period = _least_quota.period
            union all
            select l.quota from limits l
            where l.metric = _least_quota.metric and l.subject is null and l.name = 'default' and l.period = _least_quota.period
        ) q);
end
$$;

comment on function _least_quota(text, text, text) is
    'The least quota that a limit named default of this period has ever had for a subject; null if there is none.';
