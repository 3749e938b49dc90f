-- Reads the log, because rollups do not store metadata. The cost grows with the number of events in the window.
create or replace function usage_by(
    subject text,
    metric text,
    dimension text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns setof usage_group
language plpgsql
stable
security definer
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('usage_by') or _check_caller('usage_by') then _get_metric(usage_by.metric) end;
    v_series integer;
    v_window tstzrange;
    v_since  timestamptz;
    v_until  timestamptz;
    v_left_out  bigint[];
    v_uncounted bigint[];
begin
    perform _check_name('subject', usage_by.subject), _check_here(usage_by.subject);
    if usage_by.dimension is null then
        raise exception using errcode = '22004', message = 'dimension is null', column = 'dimension',
            hint = 'Pass the name of a key of the events'' metadata.';
    end if;
    v_window := _metric_window(
        usage_by.subject, v_metric.period, usage_by.period, usage_by.since, usage_by.until, usage_by.timezone, usage_by.now);
    v_since := coalesce(lower(v_window), '-infinity');
    v_until := coalesce(upper(v_window), 'infinity');
    v_series := _find_series(v_metric.key, usage_by.subject);
    select * into v_left_out, v_uncounted from _uncounted_rows(v_series, v_since, v_until);
    return query
        select e.metadata ->> usage_by.dimension,
               case v_metric.aggregate
                   when 'unique' then count(distinct e.member)
                   else _quantity(v_metric.aggregate, count(*), sum(e.quantity), min(e.quantity), max(e.quantity),
                       (max(_latest(e.at, e.event_id, e.quantity)) filter (where v_metric.aggregate = 'last'))[3])
               end as quantity,
               count(*) filter (where e.event_id <> all (v_uncounted))
        from events e
        where e.series_id = v_series and e.at >= v_since and e.at < v_until and e.event_id <> all (v_left_out)
        group by 1
        order by quantity desc, 1 nulls last;
    -- The whole window is read from the log, so all of it is an edge.
    perform _check_edges(v_metric, v_series, (v_since, v_until, v_until, v_until, v_until, v_until)::window_cut,
        'Grouping needs the log. Use a window after the dropped months, or usage() for the total.');
end
$$;

comment on function usage_by(text, text, text, text, timestamptz, timestamptz, text, timestamptz) is
    'Returns the usage in a window for each value of a key of the events'' metadata (dimension), the largest first. Windows are those '
    'of usage(). Events without the key form a group with value null. It reads the log, so its cost grows with the number of events '
    'in the window. Raises 22004 for a null dimension, UM006 when retention has dropped events of the window, and otherwise as '
    'usage() does. '
    'Example: SELECT * FROM meter.usage_by(''acct_1'', ''tokens'', ''model'', period => ''month'', now => ''2026-06-18'');';
