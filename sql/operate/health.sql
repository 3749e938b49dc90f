-- To be polled every minute: bounded, whatever the size of the log, and no lock but that of a reader.
create or replace function health(now timestamptz default now())
returns health
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now     timestamptz := coalesce(health.now, now());
    v_missing timestamptz[];
    v_old     boolean;
    v_health  health;
begin
    perform _check_time('now', v_now);
    v_missing := array(select _missing_months(v_now));
    v_health.missing_partitions := cardinality(v_missing);
    select count(*), coalesce(bool_or(s.recorded_at < v_now - interval '48 hours'), false)
    into v_health.stray_events, v_old
    from (select recorded_at from events_default limit 10000) s;
    v_health.last_maintained_at := (select max(done_at) from maintenance where task = 'maintain');
    v_health.oldest_unreported_at := _oldest_unreported();
    v_health.silent := array(
        select format('%s %s since %s', subject, metric, to_char(last_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
        from _silent_subjects(v_now)
        order by last_at, subject, metric
        limit 100);
    v_health.bloated := array(select description from _bloated_tables());

    v_health.problems := array_remove(array[
        case when v_health.last_maintained_at is null then 'maintain() has never run'
             when v_health.last_maintained_at < v_now - interval '48 hours' then 'maintain() has not run for two days' end,
        case when v_missing[1] < v_now + interval '168 hours' then 'the log has no partition for the coming week' end,
        case when v_old then 'events have been in the default partition for two days' end,
        case when v_health.oldest_unreported_at < v_now - interval '24 hours' then 'usage has not been reported for a day' end
    ], null) || array(
        select format('reporting to %s is stopped: its journal was used on another server; see adopt_journal()', b)
        from _stopped_billers() b);
    v_health.notices := array_remove(array[
        case when v_health.silent <> '{}' then format('%s silent', cardinality(v_health.silent)) end,
        case when v_health.bloated <> '{}' then format('%s tables bloated', cardinality(v_health.bloated)) end
    ], null);
    v_health.healthy := v_health.problems = '{}';
    return v_health;
end
$$;

comment on function health(timestamptz) is
    'The state of the meter in one row, for a monitor to poll. Problems: maintain() has not run for two days, the log has no partition for '
    'the coming week, events have been in the default partition for two days, usage has not been reported for a '
    'day, or reporting is stopped because the journal was restored, copied or failed over. Notices leave it '
    'healthy: who was recorded on each of seven days and then stopped for 24 hours (the first 100, out of a bounded look), and bloat, as '
    'far as the server''s statistics tell. now: the clock, to look from another time. Raises 22023 for one that is infinite or outside of '
    'the years 1 to 9999.';
