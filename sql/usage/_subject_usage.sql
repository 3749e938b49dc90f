-- As _bulk_usage(), by subject instead of by window. Coarse rollups tell which subjects may have usage in the window.
create or replace function _subject_usage(metric metrics, cut window_cut, after_subject text, max_rows integer)
returns table (subject text, quantity numeric, event_count bigint, members_overlap boolean)
language plpgsql
stable
set search_path from current
set jit to off
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_key       text := (_subject_usage.metric).key;
    v_aggregate text := (_subject_usage.metric).aggregate;
    v_fine      text := (_subject_usage.metric).fine_bucket;
    v_coarse    text := (_subject_usage.metric).coarse_bucket;
    v_first     timestamptz := _bucket_start(v_coarse, cut.since);
    v_after     text := coalesce(_subject_usage.after_subject, '');
begin
    return query
    select s.subject, coalesce(u.quantity, 0), u.event_count, v_aggregate = 'unique' and u.pieces_overlap
    from (
        select distinct r.subject collate "C" as subject
        from rollups r
        where r.metric = v_key and r.bucket = v_coarse and r.bucket_start >= v_first and r.bucket_start < cut.until
          and r.subject > v_after collate "C"
    ) s
    cross join lateral (
        select sum(p.event_count)::bigint as event_count,
               _quantity(v_aggregate, sum(p.event_count)::bigint, sum(p.total), min(p.lowest), max(p.highest),
                   (max(array[extract(epoch from p.last_at), p.last_event_id, p.latest]) filter (where v_aggregate = 'last'))[3]
               ) as quantity,
               -- Members of several pieces overlap; of one bucket they have been counted.
               min(p.bucket_start) < max(p.bucket_start) or bool_or(p.bucket_start is null) as pieces_overlap
        from (
            select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
            from rollups
            where subject = s.subject collate "default" and metric = v_key and bucket = v_coarse and cut.coarse_since < cut.coarse_until
              and bucket_start >= cut.coarse_since and bucket_start < cut.coarse_until
            union all
            select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
            from rollups
            where subject = s.subject collate "default" and metric = v_key and bucket = v_fine and cut.fine_since < cut.coarse_since
              and bucket_start >= cut.fine_since and bucket_start < cut.coarse_since
            union all
            select bucket_start, event_count, total, lowest, highest, latest, last_at, last_event_id
            from rollups
            where subject = s.subject collate "default" and metric = v_key and bucket = v_fine and cut.coarse_until < cut.fine_until
              and bucket_start >= cut.coarse_until and bucket_start < cut.fine_until
            union all
            select null, 1, quantity, quantity, quantity, quantity, at, event_id
            from events
            where subject = s.subject collate "default" and metric = v_key and cut.since < cut.fine_since
              and at >= cut.since and at < cut.fine_since
            union all
            select null, 1, quantity, quantity, quantity, quantity, at, event_id
            from events
            where subject = s.subject collate "default" and metric = v_key and cut.fine_until < cut.until
              and at >= cut.fine_until and at < cut.until
        ) p
    ) u
    where u.event_count > 0
    order by s.subject
    limit _subject_usage.max_rows;
end
$$;

comment on function _subject_usage(metrics, window_cut, text, integer) is
    'The usage of a metric in a window by the first max_rows subjects after a given one (null: all) that have any. members_overlap: the '
    'quantity is no more than a bound, and the members have to be counted by _distinct_members().';

-- A subject whose events in an edge were all dropped has nothing in the log there, but a rollup.
create or replace function _check_subject_edges(metric metrics, cut window_cut)
returns void
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_key     text := (_check_subject_edges.metric).key;
    v_fine    text := (_check_subject_edges.metric).fine_bucket;
    v_head    timestamptz := _bucket_start(v_fine, cut.since);
    v_subject text;
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
    for v_subject in
        select distinct r.subject
        from rollups r
        where r.metric = v_key and r.bucket = v_fine
          and (r.bucket_start >= v_head and r.bucket_start < cut.fine_since
               or r.bucket_start >= cut.fine_until and r.bucket_start < cut.until)
    loop
        perform _check_edges(_check_subject_edges.metric, v_subject, cut);
    end loop;
end
$$;

comment on function _check_subject_edges(metrics, window_cut) is '_check_edges() for every subject that has events in an edge of the window.';
