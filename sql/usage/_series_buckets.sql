create or replace function _series_buckets(since timestamptz, until timestamptz, step text, timezone text, subject text default null)
returns table (bucket_start timestamptz, bucket_end timestamptz)
language plpgsql
stable
set search_path from current
as $$
declare
    v_step       text := lower(btrim(step) collate "C");
    v_duration   interval;
    -- Hours and minutes are counted from the start of the local day, as in _calendar_start().
    v_length     interval := case v_step when 'hour' then interval '1 hour' when 'minute' then interval '1 minute' end;
    v_unit       text := case when v_length is null then v_step else 'day' end;
    v_unit_start timestamptz;
    v_unit_end   timestamptz;
    v_count      int := 0;
begin
    if v_step not in ('minute', 'hour', 'day', 'week', 'month', 'year', 'cycle') then
        v_duration := _parse_duration(v_step);
    end if;
    if v_step is null or (v_duration is null and v_step not in ('minute', 'hour', 'day', 'week', 'month', 'year', 'cycle')) then
        raise exception using
            errcode = case when v_step is null then '22004' else '22023' end,
            message = 'step is not a calendar unit, cycle or a duration', column = 'step', detail = format('step %L.', left(step, 80)),
            hint = 'Use minute, hour, day, week, month, year, cycle, or a duration such as 15m or 7 days.';
    end if;
    bucket_start := since;
    while bucket_start < until loop
        v_count := v_count + 1;
        if v_count > 100000 then
            raise exception using errcode = '22023', message = 'the series has more than 100,000 buckets', column = 'step',
                detail = format('step %s.', step), hint = 'Use a longer step or a shorter window.';
        end if;
        if v_duration is not null then
            bucket_end := least(until, _add_duration(since, v_duration, v_count, timezone));
        elsif v_step = 'cycle' then
            bucket_end := least(until, upper(_cycle_at(subject, bucket_start)));
        else
            if v_count = 1 or bucket_start = v_unit_end then
                v_unit_start := _calendar_start(v_unit, bucket_start, timezone);
                v_unit_end := _calendar_end(v_unit, v_unit_start, timezone);
            end if;
            bucket_end := least(until, v_unit_end, date_bin(v_length, bucket_start, v_unit_start) + v_length);
        end if;
        return next;
        bucket_start := bucket_end;
    end loop;
end
$$;

comment on function _series_buckets(timestamptz, timestamptz, text, text, text) is
    'Returns the buckets that tile the window [since, until): by calendar unit, by the billing cycles of a subject, or by a duration from the '
    'start of the window. Raises 22004 or 22023 for an invalid step.';
