create or replace function totals(
    metric text,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now(),
    max_rows integer default 1000,
    after_subject text default null
)
returns setof subject_total
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('totals') or _check_caller('totals') then _get_metric(totals.metric) end;
    v_window tstzrange;
    v_cut    window_cut;
    v_after  text := totals.after_subject;
    v_left   integer := totals.max_rows;
    v_rows   integer := 0;
    v_found  integer;
    v_next   record;
begin
    perform _check_max_rows(totals.max_rows);
    v_window := _metric_window(null, v_metric.period, totals.period, totals.since, totals.until, totals.timezone, totals.now);
    v_cut := _cut_window(v_metric, lower(v_window), upper(v_window));
    loop
        v_found := 0;
        for v_next in select * from _subject_usage(v_metric, v_cut, v_after, v_left) loop
            v_found := v_found + 1;
            v_after := v_next.subject;
            if v_metric.carry and v_next.event_count = 0 then
                v_next.quantity := _carried_value(v_metric, v_next.series_id, lower(v_window));
                continue when v_next.quantity is null;
            elsif v_next.members_overlap then
                v_next.quantity := _distinct_members(v_metric, v_next.series_id, v_cut);
            end if;
            return next (v_next.subject, v_next.quantity, v_next.event_count)::subject_total;
            v_rows := v_rows + 1;
        end loop;
        -- A subject that might have carried a value has left a place on the page.
        exit when v_found < v_left or v_rows = totals.max_rows;
        v_left := totals.max_rows - v_rows;
    end loop;
    perform _check_subject_edges(v_metric, v_cut);
end
$$;

comment on function totals(text, text, timestamptz, timestamptz, text, timestamptz, integer, text) is
    'The usage of one metric in a window (as for usage(), but for the word cycle) by every subject that has any: usage() of '
    'all customers in one statement. '
    'Ordered by subject (bytewise, collation C), at most max_rows (1 to 10,000); the next page: subject of the last row as after_subject, '
    'with the same window (fix now where a period is relative). Of a metric that carries its last value over, subjects that had '
    'no event in the window have that value, with event_count 0. Raises UM001 for an unknown metric, 22004 or 22023 for a bad value, UM006 when '
    'an edge of the window, shorter than the metric''s rollup, had events of any subject that were dropped, 40001 as usage() does. '
    'Example: SELECT * FROM meter.totals(''tokens'', since => ''2026-06-01'', until => ''2026-07-01'');';
