-- A period is announced a minute after its end: transactions that recorded in its last moments have then usually committed.
create or replace function _announce_periods(max_rows integer, now timestamptz)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    c_delay  constant interval := interval '1 minute';
    v_due    record;
    v_count  bigint := 0;
    v_found  bigint;
begin
    if not _begin_announcing() then
        return 0;
    end if;
    -- A clock that was ahead is right again.
    update announced_periods a set next_start = _bucket_start(m.period, _announce_periods.now), after_subject = null
    from metrics m
    where m.key = a.metric and m.period <> 'never' and a.next_start > _bucket_end(m.period, _announce_periods.now);
    update announced_subjects n set next_start = _bucket_start(m.period, _announce_periods.now)
    from metrics m
    where m.key = n.metric and m.period <> 'never' and n.next_start > _bucket_end(m.period, _announce_periods.now);
    v_count := _announce_apart(_announce_periods.max_rows);
    loop
        select m as metric, a.next_start, a.after_subject, _bucket_end(m.period, a.next_start) as next_end into v_due
        from announced_periods a
        join metrics m on m.key = a.metric
        where m.period <> 'never' and _bucket_end(m.period, a.next_start) + c_delay <= _announce_periods.now
        order by a.next_start, a.metric
        limit 1
        for update of a;  -- see _announce_apart()
        exit when not found or v_count >= _announce_periods.max_rows;
        v_found := _announce_period(v_due.metric, v_due.next_start, v_due.next_end, v_due.after_subject,
                                    (_announce_periods.max_rows - v_count)::integer);
        v_count := v_count + greatest(v_found, 1);
    end loop;
    return v_count;
end
$$;

comment on function _announce_periods(integer, timestamptz) is
    'Writes usage.aggregated for periods of metrics that have ended, if an endpoint asks for it: about max_rows. Returns how many, 1 for a period '
    'without usage.';

create or replace function _announce_period(metric metrics, since timestamptz, until timestamptz, after_subject text, max_rows integer)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _announce_period.metric;
    v_found  bigint;
    v_last   text;
begin
    with found as (
        select u.subject, u.quantity, u.event_count
        from _subject_usage(v_metric, _cut_window(v_metric, _announce_period.since, _announce_period.until), _announce_period.after_subject,
                            _announce_period.max_rows) u
    ), written as (
        insert into notifications (type, subject, metric, data)
        select 'usage.aggregated', f.subject, v_metric.key,
               _aggregated(v_metric, _announce_period.since, _announce_period.until, f.quantity, f.event_count)
        from found f
        where (f.event_count > 0 or f.quantity <> 0)
          and not exists (select from announced_subjects n where n.subject = f.subject and n.metric = v_metric.key)
        order by f.subject
    )
    select count(*), max(f.subject) into v_found, v_last from found f;
    update announced_periods a set
        next_start = case when v_found < _announce_period.max_rows then _announce_period.until else a.next_start end,
        after_subject = case when v_found < _announce_period.max_rows then null else v_last end
    where a.metric = v_metric.key;
    return v_found;
end
$$;

comment on function _announce_period(metrics, timestamptz, timestamptz, text, integer) is
    'Writes usage.aggregated for the next max_rows subjects with usage in an ended period of a metric, and returns how many there were.';

create or replace function _follow_periods(asked_before boolean)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if not exists (select from endpoints e where 'usage.aggregated' = any (e.types)) then
        delete from announced_periods;
        delete from announced_subjects;
    elsif not asked_before then
        insert into announced_periods (metric, next_start)
        select m.key, _bucket_start(m.period, clock_timestamp()) from metrics m where m.period <> 'never'
        order by m.key
        on conflict do nothing;
    end if;
end
$$;

comment on function _follow_periods(boolean) is
    'Begins with the running periods of all metrics when the first endpoint asks for usage.aggregated, and forgets them when none does any more. An '
    'endpoint that is disabled still asks. The caller holds the lock catalog.';
