-- Call it after reading the log, because reading locks the log. The first statement runs for every window with an edge in the log, so it
-- is a single one with a generic plan. For a dropped month, the buckets show whether the series had events in that edge.
create or replace function _check_edges(metric metrics, series_id integer, cut window_cut, hint text default null)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_first    timestamptz := case when cut.since < cut.fine_since then _bucket_start('month', cut.since) end;
    v_second   timestamptz := case when cut.fine_until < cut.until then _bucket_start('month', cut.fine_until) end;
    v_in_place boolean;
    v_dropped  boolean;
    v_fine     text;
    v_month    timestamptz;
    v_archive  archives;
begin
    select exists (select from pg_class where oid = to_regclass('events_default')), exists (
        select from log_months m
        where (m.month >= v_first and m.month < cut.fine_since or m.month >= v_second and m.month < cut.until)
          and _is_dropped(m.dropped, _partition_name(m.month), 'events'::regclass))
    into v_in_place, v_dropped;
    if not v_in_place then
        perform _check_snapshot();
    elsif not v_dropped then
        return;
    end if;

    v_fine := (_check_edges.metric).fine_bucket;
    select min(m.month) into v_month
    from (values (v_first, cut.since, cut.fine_since), (v_second, cut.fine_until, cut.until)) as e (month, since, until)
    join log_months m on m.month >= e.month and m.month < e.until
    where _is_dropped(m.dropped, _partition_name(m.month), 'events'::regclass) and exists (
        select from buckets b
        where b.series_id = _check_edges.series_id and b.bucket = v_fine
          and b.bucket_start >= _bucket_start(v_fine, greatest(e.since, m.month))
          and b.bucket_start < least(e.until, _bucket_end('month', m.month)));
    if v_month is not null then
        v_archive := _archive_of_month(v_month);
        raise exception using
            errcode = 'UM006', message = 'the window needs events that retention has dropped',
            detail = format('metric %s, events of %s (UTC)%s.', quote_literal((_check_edges.metric).key),
                to_char(v_month at time zone interval '0', 'YYYY-MM'), ', file ' || v_archive.file_name),
            hint = _restore_hint(v_archive, case
                when _check_edges.hint is not null then _check_edges.hint
                when v_fine = 'never' then 'Use period never, or a window after the dropped months.'
                else format('Begin and end the window at a full %s (UTC), so that rollups are sufficient.', v_fine)
            end);
    end if;
end
$$;

comment on function _check_edges(metrics, integer, window_cut, text) is
    'Checks that the events at the edges of a window were complete when the log was read. Raises UM006 if retention has dropped some '
    'of them, 40001 if maintain() has moved them since the snapshot was taken.';

-- Few windows touch a dropped month, so one query first looks for dropped months in the range of all windows.
create or replace function _check_all_edges(metric metrics, series_id integer, cuts window_cut[])
returns void
language plpgsql
stable
set search_path from current
as $$
declare
    v_cut   window_cut;
    v_edges window_cut[] := array(select c from unnest(cuts) c where c.since < c.fine_since or c.fine_until < c.until);
begin
    if cardinality(v_edges) > 1 then
        perform _check_snapshot();
        if not exists (
            select from _dropped_months() m (month)
            where m.month < v_edges[cardinality(v_edges)].until and _bucket_end('month', m.month) > v_edges[1].since
        ) then
            return;
        end if;
    end if;
    foreach v_cut in array v_edges loop
        perform _check_edges(_check_all_edges.metric, _check_all_edges.series_id, v_cut);
    end loop;
end
$$;

comment on function _check_all_edges(metrics, integer, window_cut[]) is
    'Calls _check_edges() for each of many windows that has an edge in the log. The windows are in the order of time.';
