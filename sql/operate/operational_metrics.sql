-- Polled as often as health(), and bounded like it: whatever grows with the meter is counted up to a number that the help texts name.
create or replace function operational_metrics(now timestamptz default now())
returns setof operational_metric
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now    timestamptz := coalesce(operational_metrics.now, now());
    v_health health;
begin
    if _is_open('operational_metrics') then perform _check_caller('operational_metrics'); end if;
    v_health := health(v_now);
    return query
    with activity as materialized (
        select * from _metric_activity(v_now)
    ), refused as materialized (
        select r.metric, count(*) as subjects from _refused_subjects(v_now) r group by r.metric
    ), held as materialized (
        select * from _open_reservations(v_now)
    ), found as (
        select 'events_recorded' as name, jsonb_build_object('metric', a.metric) as labels, a.event_count::numeric as value from activity a
        union all
        select 'last_event_age_seconds', jsonb_build_object('metric', a.metric), greatest(0, extract(epoch from v_now - a.last_at)) from activity a
        where a.last_at is not null
        union all
        select 'limit_refused_subjects', jsonb_build_object('metric', m.key), coalesce(r.subjects, 0)
        from metrics m left join refused r on r.metric = m.key
        where m.limited and m.retired_at is null
        union all
        select 'pushes', jsonb_build_object('state', p.state), p.number from _unsettled_pushes() p
        union all
        select v.name, '{}'::jsonb, v.value
        from (values
            ('event_ids_total', _drawn_event_ids()),
            ('reservations_open', (select h.number from held h)),
            ('reservations_oldest_seconds', (select coalesce(greatest(0, extract(epoch from v_now - h.oldest_at)), 0) from held h)),
            ('notifications_pending', _pending_notifications()),
            ('notifications_oldest_seconds', greatest(0, coalesce(extract(epoch from _delivery_delay(v_now)), 0))),
            ('notifications_dead', _dead_deliveries()),
            ('unreported_oldest_seconds', greatest(0, coalesce(extract(epoch from v_now - v_health.oldest_unreported_at), 0))),
            ('drift_rows', (select m.found from maintenance m where m.task = 'check_drift')),
            ('drift_check_age_seconds', _task_age('check_drift', v_now)),
            ('default_partition_rows', v_health.stray_events),
            ('partition_horizon_days', greatest(0, extract(epoch from _partition_horizon(v_now) - v_now)) / 86400),
            ('periods_unclosed', _overdue_subjects(v_now)),
            ('late_usage_open', _undecided_late_lines()),
            ('maintenance_age_seconds', _task_age('maintain', v_now)),
            ('health_problems', cardinality(v_health.problems))
        ) v (name, value)
    )
    select n.name, n.type, n.help, f.labels, f.value
    from found f join _metric_names() n on n.name = 'pymeter_' || f.name
    where f.value is not null
    order by n.ordinal, f.labels;
end
$$;

comment on function operational_metrics(timestamptz) is
    'Returns what a monitor such as Prometheus polls: a row for each number, with its name, type (gauge or counter), help text and labels. No label '
    'is a subject. A number that is unknown has no row. Recording counts nothing for it: numbers come from buckets, queues and catalogs, and are '
    'counted up to a bound that the help text names, so that the cost is bounded. What record() answered (duplicate, conflict) is stored nowhere '
    'and not among them. The state of the last check_drift() is, because verify() is too expensive to poll. now: the time to evaluate at. Raises '
    '22023 for a now that is infinite or outside of the years 1 to 9999. '
    'Example: SELECT name, value FROM meter.operational_metrics() WHERE name LIKE ''%_open'';';
