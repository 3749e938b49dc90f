-- A sum as of a watermark is the sum of now less what came after; so its cost grows with what came after and not with the log. Other aggregates
-- are read from the log.
create or replace function _usage_as_of(metric metrics, subject text, cuts window_cut[], as_of timestamptz)
returns table (event_count bigint, quantity numeric)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _usage_as_of.metric;
    v_series integer := _find_series(v_metric.key, _usage_as_of.subject);
    v_starts timestamptz[] := array(select c.since from unnest(cuts) c order by c.since);
    v_until  timestamptz := (select max(c.until) from unnest(cuts) c);
begin
    if v_metric.aggregate not in ('sum', 'count') then
        return query
        select coalesce(l.event_count, 0), coalesce(l.quantity, 0)
        from generate_subscripts(v_starts, 1) s (n)
        left join _logged_usage(v_metric, v_series, v_starts, v_until, '-infinity', as_of) l on l.n = s.n
        order by s.n;
        return;
    end if;
    return query
    select b.event_count - coalesce(l.event_count, 0), trim_scale(b.quantity - coalesce(l.quantity, 0))
    from _bulk_usage(v_metric, _usage_as_of.subject, cuts) with ordinality b (event_count, quantity, n)
    left join _logged_usage(v_metric, v_series, v_starts, v_until, as_of, 'infinity') l on l.n = b.n
    order by b.n;
end
$$;

comment on function _usage_as_of(metrics, text, window_cut[], timestamptz) is
    'What _bulk_usage() returns, as of a watermark; each window ends where the next one starts. Raises UM006 and 40001 as _check_edges() does.';

create or replace function _windows_usage(metric metrics, subject text, cuts window_cut[], as_of timestamptz)
returns table (event_count bigint, quantity numeric)
language plpgsql
stable
set search_path from current
as $$
begin
    if as_of is null then
        return query select * from _bulk_usage(_windows_usage.metric, _windows_usage.subject, cuts);
    else
        return query select * from _usage_as_of(_windows_usage.metric, _windows_usage.subject, cuts, as_of);
    end if;
end
$$;

comment on function _windows_usage(metrics, text, window_cut[], timestamptz) is
    'The usage of a subject in each of many windows that tile; with as_of, as of that watermark.';

create or replace function _carried_as_of(metric metrics, series_id integer, since timestamptz, as_of timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_left_out bigint[] := _left_out_as_of(_carried_as_of.series_id, '-infinity', _carried_as_of.since, as_of);
    v_event    events;
begin
    if not (_carried_as_of.metric).carry or (_carried_as_of.metric).retired_at <= _carried_as_of.since then
        return null;
    end if;
    select * into v_event
    from events e
    where e.series_id = _carried_as_of.series_id and e.at < _carried_as_of.since and e.recorded_at <= as_of and e.event_id <> all (v_left_out)
    order by e.at desc, e.event_id desc
    limit 1;
    perform _check_edges(_carried_as_of.metric, _carried_as_of.series_id, (
        coalesce(v_event.at, '1970-01-01 00:00:00+00'), _carried_as_of.since, _carried_as_of.since, _carried_as_of.since, _carried_as_of.since,
        _carried_as_of.since)::window_cut, 'What was recorded when is known from the log only.');
    return v_event.quantity;
end
$$;

comment on function _carried_as_of(metrics, integer, timestamptz, timestamptz) is '_carried_value() as of a watermark, from the log.';

create or replace function _check_as_of(subject text, as_of timestamptz)
returns void
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_watermark timestamptz := (select s.watermark from sealed_subjects s where s.subject = _check_as_of.subject);
begin
    perform _check_time('as_of', _check_as_of.as_of);
    if (_check_as_of.as_of <= v_watermark) is not true then
        raise exception using
            errcode = '55P03', message = 'as_of is later than the last watermark of the subject', column = 'as_of',
            detail = format('as_of %s, last watermark %s.', to_char(_check_as_of.as_of at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                coalesce(to_char(nullif(v_watermark, '-infinity') at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'none')),
            hint = format('What has been recorded up to then is not final yet. Draw a watermark with SELECT %I.watermark(%L), and pass what it '
                'returns as as_of, in a later statement.', current_schema(), left(_check_as_of.subject, 80));
    end if;
end
$$;

comment on function _check_as_of(text, timestamptz) is
    'Raises 22023 for a time that is not finite, 55P03 for one that is later than the last watermark of the subject.';
