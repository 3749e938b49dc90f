-- Recording queues usage if the catalog says that its metric is reported. Transactions that read the catalog before the mapping was added
-- queue nothing, so this waits for them to end; then their usage is in the rollups and the log, and is queued from there.
-- A change of mode does not wait: the id of an event says whether it is reported as a delta.
create or replace function report_metric(
    metric text,
    event_name text,
    mode text default null,
    biller text default 'stripe',
    since timestamptz default null
)
returns report_metrics
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller  billers;
    v_metric  metrics;
    v_old     report_metrics;
    v_mapping report_metrics;
    v_changes_kind boolean;
begin
    if _is_open('report_metric') then perform _check_caller('report_metric'); end if;
    v_biller := _lock_planning(report_metric.biller);
    -- Prevents a deadlock between two calls that both lock the catalog; define_metric() takes this lock too.
    perform _lock('catalog');
    v_metric := _get_metric(report_metric.metric);
    select * into v_old from report_metrics m where m.biller = report_metric.biller and m.metric = report_metric.metric;
    mode := coalesce(report_metric.mode, v_old.mode, 'delta');
    v_mapping := (report_metric.biller, report_metric.metric, report_metric.event_name, report_metric.mode,
                  coalesce(report_metric.since, v_old.since), coalesce(v_old.event_after, 0));
    if report_metric.event_name is null then
        v_mapping.mode := coalesce(v_old.mode, mode);
        update report_metrics m set event_name = null where m.biller = report_metric.biller and m.metric = report_metric.metric;
        update metrics m set billers = nullif(array_remove(m.billers, report_metric.biller), '{}'), revision = m.revision + 1
        where m.key = report_metric.metric and report_metric.biller = any (m.billers);
        return v_mapping;
    end if;

    perform _check_mapping(v_metric, v_mapping, v_old);
    -- Rows that were queued for the old mode name other buckets.
    v_changes_kind := (v_mapping.mode = 'last') <> (v_old.mode = 'last');
    if v_old.mode = 'delta' and report_metric.mode = 'event' then
        v_mapping.event_after := (select case when is_called then last_value else last_value - 1 end from event_ids);
        update reported r set quantity = r.quantity + r.as_events, as_events = 0
        where r.metric = report_metric.metric and r.biller = report_metric.biller and r.as_events <> 0;
    end if;
    insert into report_metrics values (v_mapping.*)
    on conflict (biller, metric) do update set
        event_name = excluded.event_name, mode = excluded.mode, since = excluded.since, event_after = excluded.event_after;
    if v_mapping is distinct from v_old then
        perform _check_single_source(v_biller, report_metric.metric, null);
    end if;
    if v_metric.billers is null or report_metric.biller <> all (v_metric.billers) then
        perform _lock_tables('{metrics}', 'access exclusive');
        update metrics m set billers = array_append(m.billers, report_metric.biller), revision = m.revision + 1 where m.key = report_metric.metric;
    end if;
    if v_old.event_name is null or v_mapping.since is distinct from v_old.since or v_changes_kind then
        perform _queue_unreported(report_metric.biller, report_metric.metric, null);
    end if;
    return v_mapping;
end
$$;

comment on function report_metric(text, text, text, text, timestamptz) is
    'Maps a metric to the biller''s event name, so that its usage is reported; a null event_name ends the mapping. Mode delta sends what an '
    'hour or period has gained since it was last planned; event sends each event separately; last sends the period''s present value. A new '
    'mapping uses delta unless mode is given, and queues the existing usage: all of it, or the buckets that begin at since or later. In a '
    'later call, a null mode or since keeps the earlier one. Repeating a call changes nothing. Raises UM001 for an unknown metric, UM002 '
    'for a mode that would report wrong totals, 22004 or 22023 for a bad value, 22023 for an event name or a customer that two sources of a '
    'metric in mode last would share, 55P03 after waiting more than 5 seconds for other transactions, 25001 in a REPEATABLE READ or '
    'SERIALIZABLE transaction. Example: SELECT metric, event_name, mode, biller FROM meter.report_metric(''tokens'', ''api_tokens'');';
