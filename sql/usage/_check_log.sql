-- Called after the log has been read, and thereby locked. Every window with an edge in the log pays for the first look, so it is one
-- statement, simple enough to be planned once. In a dropped month, the rollups tell whether the subject had any events there at all.
create or replace function _check_log(metric metrics, subject text, cut window_cut, hint text default null)
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

    v_fine := _fine_bucket((_check_log.metric).period, (_check_log.metric).rollup);
    select min(m.month) into v_month
    from (values (v_first, cut.since, cut.fine_since), (v_second, cut.fine_until, cut.until)) as e (month, since, until)
    join log_months m on m.month >= e.month and m.month < e.until
    where _is_dropped(m.dropped, _partition_name(m.month), 'events'::regclass) and exists (
        select from rollups r
        where r.subject = _check_log.subject and r.metric = (_check_log.metric).key and r.bucket = v_fine
          and r.bucket_start >= _bucket_start(v_fine, greatest(e.since, m.month))
          and r.bucket_start < least(e.until, _bucket_end('month', m.month)));
    if v_month is not null then
        raise exception using
            errcode = 'UM006', message = 'the window needs events that were dropped',
            detail = format('metric %s, events of %s (UTC).', quote_literal((_check_log.metric).key),
                to_char(v_month at time zone interval '0', 'YYYY-MM')),
            hint = case
                when _check_log.hint is not null then _check_log.hint
                when v_fine = 'never' then 'Ask for all time (period never), or for a window after the months that were dropped.'
                else format('Let the window begin and end with a whole %s (UTC), which rollups answer.', v_fine)
            end;
    end if;
end
$$;

comment on function _check_log(metrics, text, window_cut, text) is
    'Refuses what was read from the log for the edges of a window if events there were dropped (UM006), or moved since the snapshot was '
    'taken (40001).';

-- Of many windows hardly one touches a month that was dropped, so that is looked at once for all.
create or replace function _check_logs(metric metrics, subject text, cuts window_cut[])
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
        perform _check_log(_check_logs.metric, _check_logs.subject, v_cut);
    end loop;
end
$$;

comment on function _check_logs(metrics, text, window_cut[]) is
    '_check_log() for each of many windows, in the order of time, that has an edge in the log.';
