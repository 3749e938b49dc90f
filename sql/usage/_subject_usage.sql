-- As _bulk_usage(), by subject instead of by window. The series of a metric are read in the order of subjects, by primary key, until there
-- are max_rows: with sorting off there is no other plan. The row of a series tells when its latest event was, so that of the present only
-- those are looked at that were active; each is answered by look-ups of its own.
create or replace function _subject_usage(metric metrics, cut window_cut, after_subject text, max_rows integer)
returns table (series_id integer, subject text, quantity numeric, event_count bigint, members_overlap boolean)
language plpgsql
stable
set search_path from current
set jit to off
set enable_sort to off
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_aggregate text := (_subject_usage.metric).aggregate;
    v_fine      text := (_subject_usage.metric).fine_bucket;
    v_coarse    text := (_subject_usage.metric).coarse_bucket;
    v_carries   boolean := (_subject_usage.metric).carry and ((_subject_usage.metric).retired_at <= cut.since) is not true;
    v_first     timestamptz := _bucket_start(v_fine, cut.since);
    v_after     text := coalesce(_subject_usage.after_subject, '');
    v_corrected boolean := (cut.since < cut.fine_since or cut.fine_until < cut.until) and exists (select from event_kinds);
begin
    return query
    select s.series_id, s.subject, coalesce(u.quantity, 0), coalesce(u.event_count, 0), v_aggregate = 'unique' and u.pieces_overlap
    from series s
    left join lateral (
        select h.left_out || t.left_out as left_out, h.uncounted || t.uncounted as uncounted
        from _uncounted_rows(s.series_id, cut.since, cut.fine_since) h, _uncounted_rows(s.series_id, cut.fine_until, cut.until) t
        where v_corrected
        offset 0
    ) k on true
    cross join lateral (
        select sum(p.event_count)::bigint as event_count,
               _quantity(v_aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest), (max(p.latest))[3]) as quantity,
               -- Members of several pieces overlap; of one bucket they have been counted.
               min(p.bucket_start) < max(p.bucket_start) or bool_or(p.bucket_start is null) as pieces_overlap
        from (
            select bucket_start, event_count, total, lowest, highest, latest
            from rollups
            where series_id = s.series_id and bucket = v_coarse and cut.coarse_since < cut.coarse_until
              and bucket_start >= cut.coarse_since and bucket_start < cut.coarse_until
            union all
            select bucket_start, event_count, total, lowest, highest, latest
            from rollups
            where series_id = s.series_id and bucket = v_fine and cut.fine_since < cut.coarse_since
              and bucket_start >= cut.fine_since and bucket_start < cut.coarse_since
            union all
            select bucket_start, event_count, total, lowest, highest, latest
            from rollups
            where series_id = s.series_id and bucket = v_fine and cut.coarse_until < cut.fine_until
              and bucket_start >= cut.coarse_until and bucket_start < cut.fine_until
            union all
            select coarse_start, coarse_count, coarse_total, coarse_lowest, coarse_highest, coarse_latest
            from series
            where series_id = s.series_id and coarse_last_at > '-infinity' and cut.coarse_since < cut.coarse_until
              and coarse_start >= cut.coarse_since and coarse_start < cut.coarse_until
            union all
            select fine_start, fine_count, fine_total, fine_lowest, fine_highest, fine_latest
            from series
            where series_id = s.series_id and fine_last_at > '-infinity' and (cut.fine_since < cut.coarse_since or cut.coarse_until < cut.fine_until)
              and (fine_start >= cut.fine_since and fine_start < cut.coarse_since
                   or fine_start >= cut.coarse_until and fine_start < cut.fine_until)
            union all
            select null, case when event_id = any (k.uncounted) then 0 else 1 end, quantity, quantity, quantity,
                   case v_aggregate when 'last' then _latest(at, event_id, quantity) end
            from events
            where series_id = s.series_id and cut.since < cut.fine_since
              and at >= cut.since and at < cut.fine_since and (k.left_out is null or event_id <> all (k.left_out))
            union all
            select null, case when event_id = any (k.uncounted) then 0 else 1 end, quantity, quantity, quantity,
                   case v_aggregate when 'last' then _latest(at, event_id, quantity) end
            from events
            where series_id = s.series_id and cut.fine_until < cut.until
              and at >= cut.fine_until and at < cut.until and (k.left_out is null or event_id <> all (k.left_out))
        ) p
    ) u
    where s.metric = (_subject_usage.metric).key and s.stripe = 0 and s.subject > v_after collate "C"
      and (s.newest_start >= v_first or s.has_stripes or v_carries)
      and (u.event_count > 0 or u.quantity <> 0 or v_carries) and ((select _all_here()) or _is_here(s.subject))
    order by s.subject
    limit _subject_usage.max_rows;
end
$$;

comment on function _subject_usage(metrics, window_cut, text, integer) is
    'The usage of a metric in a window by the first max_rows subjects after a given one (null: all) that have any or, if the metric carries '
    'values into the window, may have one: then event_count is 0. members_overlap: the quantity is no more than a bound, and the members have '
    'to be counted by _distinct_members().';

-- A subject whose events in an edge were all dropped has nothing in the log there, but a bucket.
create or replace function _check_subject_edges(metric metrics, cut window_cut)
returns void
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_key    text := (_check_subject_edges.metric).key;
    v_fine   text := (_check_subject_edges.metric).fine_bucket;
    v_head   timestamptz := _bucket_start(v_fine, cut.since);
    v_series integer;
begin
    if cut.since >= cut.fine_since and cut.fine_until >= cut.until then
        return;
    end if;
    perform _check_snapshot();
    if not exists (
        select from _dropped_months() m (month)
        where m.month < cut.fine_since and _bucket_end('month', m.month) > cut.since
           or m.month < cut.until and _bucket_end('month', m.month) > cut.fine_until
    ) then
        return;
    end if;
    for v_series in
        select distinct b.series_id
        from buckets b
        where b.metric = v_key and b.bucket = v_fine and ((select _all_here()) or _is_here(b.subject))
          and (b.bucket_start >= v_head and b.bucket_start < cut.fine_since
               or b.bucket_start >= cut.fine_until and b.bucket_start < cut.until)
    loop
        perform _check_edges(_check_subject_edges.metric, v_series, cut);
    end loop;
end
$$;

comment on function _check_subject_edges(metrics, window_cut) is '_check_edges() for every subject that has events in an edge of the window.';
