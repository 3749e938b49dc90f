create or replace function what_changed(statement_id bigint, metric text default null, max_rows integer default 100, after_id bigint default null)
returns setof logged_events
language plpgsql
stable
security definer
set search_path from current
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_header  statements;
    v_subject text;
    v_archive archives;
begin
    if _is_open('what_changed') then perform _check_caller('what_changed'); end if;
    v_header := _get_statement(what_changed.statement_id);
    perform _check_max_rows(what_changed.max_rows);
    if what_changed.metric is not null then
        perform _get_metric(what_changed.metric);
    end if;
    v_subject := (select w.subject from sealed_subjects w where w.subject_id = v_header.subject_id);
    return query
    select e.event_id, e.at, e.recorded_at, v_subject, s.metric_key, e.quantity, e.member, e.idempotency_key, e.metadata,
           coalesce(k.kind, 'usage') collate "C", k.corrects, k.correction_id
    from _subject_series(v_subject, what_changed.metric) s
    join events e on e.series_id = s.series_id and e.at >= v_header.since and e.at < v_header.until and e.recorded_at > v_header.watermark
    left join lateral (
        select k.kind, k.corrects, k.correction_id from event_kinds k where k.event_id = e.event_id offset 0
    ) k on true
    where what_changed.after_id is null or e.event_id > what_changed.after_id
    order by e.event_id
    limit what_changed.max_rows;
    v_archive := _needed_archive(array(select s.series_id from _subject_series(v_subject, what_changed.metric) s),
        v_header.since, v_header.until, v_header.watermark);
    if v_archive.archive_id is not null then
        perform _raise_archived(v_archive, 'See late_usage() for the totals.');
    end if;
    perform _check_snapshot();
end
$$;

comment on function what_changed(bigint, text, integer, bigint) is
    'Returns the rows of the log behind late usage: those of a statement''s period that were recorded after it was closed, in the order of '
    'recording, with the columns of events(). metric: only of this one. At most max_rows (1 to 10,000); the next page: the event_id of the last '
    'row as after_id. Raises UM007 for an unknown statement, UM001 for an unknown metric, 22004 or 22023 for a bad value, UM006 '
    'if rows of it are in an archive, 40001 as usage() does, UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT e.at, e.quantity, e.kind FROM meter.statements(''acct_1'') s, meter.what_changed(s.statement_id) e;';
