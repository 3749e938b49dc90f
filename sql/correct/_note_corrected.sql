-- Marks are fired and cleared by what is used once everything is written, so the order of the rows does not matter. No limit refuses a correction.
-- Recorders look at the limits anew: usage of any time may change what a limit has left, through top-ups and through what goes over to a period.
create or replace function _note_corrected(steps correction_step[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_found  record;
    v_time   timestamptz;
    v_checks limit_check[];
begin
    for v_found in
        select m, s, n.steps, n.times
        from (
            select w.series_id, w.metric, w.subject, array_agg(w) as steps, array_agg(w.at) as times
            from unnest(steps) w
            join metrics m on m.key = w.metric and m.limited
            where w.kind is not null
            group by 1, 2, 3
        ) n
        join metrics m on m.key = n.metric
        cross join lateral (select s from series s where s.series_id = n.series_id and s.stripe = 0 offset 0) s
        where m.limited
        order by n.series_id
    loop
        v_checks := '{}';
        foreach v_time in array _limited_times(v_found.m, (v_found.s).subject, v_found.times) loop
            v_checks := v_checks || _limit_checks(v_found.m, v_found.s, v_time, clock_timestamp());
        end loop;
        perform _note_corrected_limits(v_found.m, v_found.s, array(
                    select distinct on (c.since, c.limit_id) c from unnest(v_checks) c order by c.since, c.limit_id), v_found.steps),
            _forget_room(v_found.s);
    end loop;
end
$$;

comment on function _note_corrected(correction_step[]) is
    'Fires and clears the marks of limits that a correction takes usage beyond, or below, and notes for overruns() that it went beyond. The '
    'caller has written the rows, and has locked their series.';

-- A correction may have 100,000 rows, and few periods.
create or replace function _limited_times(metric metrics, subject text, times timestamptz[])
returns timestamptz[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_latest timestamptz := (select max(t) from unnest(times) t);
    v_period text;
    v_at     timestamptz;
    v_since  timestamptz;
    v_found  timestamptz[] := '{}';
begin
    for v_period in
        select distinct l.period from limits l
        where l.metric = (_limited_times.metric).key and (l.subject = _limited_times.subject or l.subject is null)
    loop
        if v_period in ('minute', 'hour', 'day', 'week', 'month', 'year') then
            v_found := v_found || array(select max(t) from unnest(times) t group by _bucket_start(v_period, t));
            continue;
        end if;
        -- The only window of the others is the latest one.
        v_found := v_found || v_latest;
        v_at := case when v_period = 'cycle' then v_latest end;
        while v_at is not null loop
            v_since := lower(_cycle_at(_limited_times.subject, v_at));
            v_at := (select max(t) from unnest(times) t where t < v_since);
            v_found := v_found || array_remove(array[v_at], null);
        end loop;
    end loop;
    return array(select distinct t from unnest(v_found) t order by t);
end
$$;

comment on function _limited_times(metrics, text, timestamptz[]) is
    'Of some times, at least one for each period of each limit of a subject that contains any: the latest in it. In ascending order.';

-- Of what adds up, the rows tell whether usage has risen. Otherwise it may have, whenever a row counts more or less; the value itself then decides.
create or replace function _note_corrected_limits(metric metrics, series series, checks limit_check[], steps correction_step[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_aggregate text := (_note_corrected_limits.metric).aggregate;
    v_checked   limit_check;
    v_change    record;
begin
    foreach v_checked in array checks loop
        select case when v_aggregate in ('sum', 'count') then sum(w.quantity) > 0 else v_aggregate = 'last' or max(w.counts) > 0 end as rose,
               case when v_aggregate in ('sum', 'count') then sum(w.quantity) < 0 else v_aggregate = 'last' or min(w.counts) < 0 end as fell
        into v_change
        from unnest(steps) w
        where w.at >= v_checked.since and w.at < coalesce(v_checked.until, 'infinity');
        if v_change.fell then
            perform _clear_corrected_marks(_note_corrected_limits.metric, _note_corrected_limits.series, v_checked);
        end if;
        if v_change.rose then
            perform _fire_marks(_note_corrected_limits.metric, _note_corrected_limits.series, array[v_checked]),
                _note_overflow(_note_corrected_limits.series, array[v_checked], 'correction');
        end if;
    end loop;
end
$$;

comment on function _note_corrected_limits(metrics, series, limit_check[], correction_step[]) is
    'Does what _note_corrected() does for limits of one series. checks: with what the rows of the correction, steps, have changed.';
