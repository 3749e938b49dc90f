-- Events of one fine bucket are looked at together, unless the period of a limit ends within the bucket: then those of one minute and cycle are.
create or replace function _note_limited_usage(batch batch_event[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_used   record;
    v_checks limit_check[];
begin
    for v_used in
        with buckets as materialized (
            select m, s, b.bucket_start,
                   _has_shorter_limits(b.metric, b.subject, b.bucket_start, _bucket_end(m.fine_bucket, b.bucket_start)) as is_cut
            from (
                select distinct e.metric, e.subject, _bucket_start(m.fine_bucket, e.at) as bucket_start
                from unnest(batch) e
                join metrics m on m.key = e.metric
            ) b
            join metrics m on m.key = b.metric
            cross join lateral (select s from series s where s.metric = b.metric and s.subject = b.subject and s.stripe = 0 offset 0) s
        )
        select b.m, b.s, max(e.at) as at
        from buckets b
        join unnest(batch) e on e.metric = (b.m).key and e.subject = (b.s).subject and _bucket_start((b.m).fine_bucket, e.at) = b.bucket_start
        group by b.m, b.s, b.bucket_start, case when b.is_cut then _bucket_start('minute', e.at) end,
                 case when b.is_cut then lower(_cycle_at(e.subject, e.at)) end
        order by (b.s).series_id, 3
    loop
        v_checks := _limit_checks(v_used.m, v_used.s, v_used.at, clock_timestamp());
        perform _fire_marks(v_used.m, v_used.s, v_checks), _note_overflow(v_used.s, v_checks, 'overflow'), _forget_room(v_used.s);
    end loop;
end
$$;

comment on function _note_limited_usage(batch_event[]) is
    'Fires the marks of limits that the counted events of a batch have reached. The caller has locked their series.';

-- Only trailing limits have marks to clear, and only for a subject that has fired one.
create or replace function _clear_batch_marks(batch batch_event[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_event  record;
    v_series series;
begin
    for v_event in
        select m, e.subject, e.at
        from (select metric, subject, max(at) as at from unnest(batch) group by 1, 2) e
        join metrics m on m.key = e.metric
        where exists (
            select from limits l
            cross join lateral (
                select from fired_marks f
                where f.limit_id = l.limit_id and f.subject = e.subject and f.period_start = '-infinity'
                offset 0
            ) f
            where l.metric = e.metric and (l.subject = e.subject or l.subject is null))
        order by e.metric, e.subject
    loop
        v_series := _find_series_row(v_event.m, v_event.subject);
        perform _clear_marks(v_event.m, v_series, _limit_checks(v_event.m, v_series, v_event.at, clock_timestamp()));
    end loop;
end
$$;

comment on function _clear_batch_marks(batch_event[]) is
    'Does what _clear_marks() does for the series of events that are about to be counted. The caller has locked the series.';
