-- Polled every minute: its cost is bounded at any size of the log, and it takes only the locks of a reader.
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
    v_full    boolean := (select count(*) >= 64 from pg_inherits where inhparent = 'events'::regclass);
    v_health  health;
begin
    if _is_open('health') then perform _check_caller('health'); end if;
    perform _check_time('now', v_now);
    v_missing := array(select _missing_months(v_now));
    v_health.missing_partitions := cardinality(v_missing);
    select count(*), coalesce(bool_or(s.recorded_at < v_now - interval '48 hours'), false)
    into v_health.stray_events, v_old
    from (select recorded_at from events_default limit 10000) s;
    v_health.last_maintained_at := (select max(done_at) from maintenance where task = 'maintain');
    v_health.oldest_unreported_at := _oldest_unreported();
    v_health.silent := array(
        select format('%s %s since %s', subject, metric, to_char(last_at at time zone interval '0', 'YYYY-MM-DD HH24:MI "UTC"'))
        from _silent_subjects(v_now)
        order by last_at, subject, metric
        limit 100);
    v_health.bloated := array(select description from _bloated_tables());

    v_health.problems := array_remove(array[
        case when v_health.last_maintained_at is null then 'maintain() has never run'
             when v_health.last_maintained_at < v_now - interval '48 hours' then 'maintain() has not run for two days' end,
        case when v_missing[1] < v_now + interval '168 hours' then 'the log has no partition for the coming week' end,
        case when v_old and not v_full then 'events have been in the default partition for two days' end,
        case when v_health.oldest_unreported_at < v_now - interval '24 hours' then 'usage has not been reported for a day' end
    ], null) || array(select _rights_problems()) || array(select _delivery_problems(v_now))
        || array(select _closing_problems(v_now)) || array(select _judging_problems(v_now))
        || array(select _shard_problems()) || array(select _moving_problems(v_now)) || array(
        select format('reporting to %s is stopped: its journal was used on another server; see adopt_journal()', b)
        from _stopped_billers() b);
    v_health.notices := array_remove(array[
        case when v_old and v_full then 'events of distant months stay in the default partition: check their times' end,
        case when v_health.silent <> '{}' then format('silent (subject and metric): %s', cardinality(v_health.silent)) end,
        case when v_health.bloated <> '{}' then format('bloated tables: %s', cardinality(v_health.bloated)) end,
        (select format('limits have refused usage of %s subjects within a day', n) from _recent_refusals(v_now) n where n > 0),
        (select format('reservations that expired within a day and were not settled: %s', n) from _unsettled_reservations(v_now) n where n > 0),
        (select format('reservations held for longer than reservation_ttl_max: %s', n) from _long_reservations(v_now) n where n > 0),
        (select format('corrections waiting for a decision: %s, the oldest since %s', o.number,
                       to_char(o.oldest_at at time zone interval '0', 'YYYY-MM-DD HH24:MI "UTC"'))
         from _open_corrections() o where o.number > 0),
        (select 'no reporter has run yet for ' || string_agg(b.biller, ', ' order by b.biller)
         from billers b
         where b.first_claimed_at is null and not _is_rehearsal(b.biller)
           and (b.sends = 'statements' or exists (select from report_metrics r where r.biller = b.biller and r.event_name is not null)))
    ], null) || array(select a.role || ' lacks functions of the level ' || a.level from _access_rights() a where not a.complete)
        || array(select _delivery_notices(v_now)) || array(select _closing_notices()) || array(select _judging_notices());
    v_health.healthy := v_health.problems = '{}';
    return v_health;
end
$$;

comment on function health(timestamptz) is
    'Returns the state of the meter in one row, for a monitor to poll every minute. healthy is true if there are no problems. Problems: maintain() '
    'has not run for two days; the log has no partition for the coming week; events have been in the default partition for two days (only a notice '
    'once the log has 64 partitions, because maintain() then leaves some there); usage has not been reported for a day to a biller whose reporter '
    'has run before and whose name does not end in _shadow; reporting is stopped because the journal was restored, copied or failed over; everybody '
    'may call functions (after a restore without privileges); other roles may create objects in the schema; notifications have not been sent to an '
    'endpoint for an hour; a billing cycle of a subject with statements ended more than a day ago and is not closed; budgets of somebody have not '
    'been judged for a day; the next ids would be those of another shard; subjects have been closed for a move for more than five minutes, or have '
    'been arriving by one for more than a day. Notices: periods that could not be closed; gaps between statements; late usage that maintain() has '
    'told of and is not decided; endpoints that are disabled or have failed for an hour; deliveries that were given up; subjects that were recorded '
    'on each of seven days and then not for 24 hours (the first 100, found by a search that is bounded); bloated tables, by the server''s '
    'statistics; billers with mapped metrics, or of statements, whose reporter has never run; how many subjects limits have refused usage of within '
    'a day (of the last 5,000 notifications); how many reservations have expired within a day without being settled, or have been extended for '
    'longer than reservation_ttl_max; how many corrections wait for a decision, and since when; roles that lack rights they were granted. now: the '
    'time to evaluate at. Raises 22023 for a now that is infinite or outside of the years 1 to 9999. Example: SELECT missing_partitions, '
    'stray_events FROM meter.health();';
