-- Of a series with stripes, row 0 does not have the whole total.
-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_ordinary(metric metrics, stripe smallint, has_stripes boolean)
returns boolean
language sql
immutable parallel safe
as $$
    select metric.aggregate in ('sum', 'count') and metric.period = metric.coarse_bucket and (not metric.striped or metric.limited)
        and stripe = 0 and not has_stripes and metric.after_close <> 'refuse'
$$;

comment on function _is_ordinary(metrics, smallint, boolean) is 'The value of series.is_ordinary for a row of a series.';

-- A new row has no events yet. Its open buckets are those of `at`; of an event ahead of the clock's bucket, the earliest there can be: which
-- buckets are open later does not depend on when the row was made. Of a series, row 0 has to be there before others.
-- A row of a limited metric is marked: its limits have to be looked at, see _limited_subjects.sql.
create or replace function _create_series(metric_keys text[], subjects text[], stripes smallint[], at timestamptz[])
returns integer[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_created integer[];
begin
    perform _check_homes(subjects);
    -- Where the last watermark is ahead of the clock, only that makes recorded_at later: so the next one has to be waited for.
    perform from (select distinct u.subject from unnest(subjects) u (subject) order by 1) u
    cross join lateral (
        select from sealed_subjects w where w.subject = u.subject and w.watermark > clock_timestamp() - interval '1 second' offset 0 for share
    ) w;
    with created as (
        insert into series (metric, subject, stripe, series_id, revision, has_stripes, is_ordinary, is_count, unit, billers, newest_start,
                            fine_start, fine_end, fine_last_at, coarse_start, coarse_end, coarse_last_at, fine_total, coarse_total,
                            unchecked_below, recorded_after)
        select (n.m).key, n.subject, n.stripe, coalesce(n.series_id, nextval('series_ids')),
               case when (n.m).limited then 0 else (n.m).revision end, n.stripe > 0,
               _is_ordinary(n.m, n.stripe, n.stripe > 0), (n.m).aggregate = 'count', (n.m).unit, (n.m).billers, f.start,
               f.start, _bucket_end((n.m).fine_bucket, f.start), '-infinity', c.start, _bucket_end((n.m).coarse_bucket, c.start), '-infinity',
               t.total, t.total, case when (n.m).limited then '-infinity'::numeric else 'infinity' end,
               coalesce(w.watermark + interval '1 microsecond', '-infinity')
        from (
            select n.subject, n.stripe, o.series_id, m, _bucket_start(m.fine_bucket, n.at) as fine_start
            from unnest(metric_keys, subjects, stripes, at) n (metric, subject, stripe, at)
            join metrics m on m.key = n.metric
            left join lateral (
                select s.series_id from series s
                where n.stripe > 0 and s.metric = n.metric and s.subject = n.subject and s.stripe = 0
                offset 0
            ) o on true
            order by m.key, n.subject, n.stripe
        ) n
        -- OFFSET 0: a start is computed once, and not where it is mentioned; a series is looked up by primary key.
        cross join lateral (
            select case when n.fine_start <= now() then n.fine_start else _bucket_start((n.m).fine_bucket, '1970-01-01 00:00:00+00') end offset 0
        ) f (start)
        cross join lateral (select _bucket_start((n.m).coarse_bucket, f.start) offset 0) c (start)
        cross join lateral (select case when (n.m).aggregate in ('sum', 'count', 'avg', 'unique') then 0 end) t (total)
        left join lateral (select w.watermark from sealed_subjects w where w.subject = n.subject offset 0) w on true
        on conflict do nothing
        returning series_id
    )
    select coalesce(array_agg(series_id), '{}') into v_created from created;
    return v_created;
end
$$;

comment on function _create_series(text[], text[], smallint[], timestamptz[]) is
    'Creates rows of series without events, unless they exist; returns their ids. After one with a stripe above 0, _note_stripes() has to be '
    'called.';

-- Makes the row of a series ready for an event: creates it, opens the fine bucket of the event if that has begun and the row is not there yet,
-- and copies what recording has to know of the metric.
create or replace function _open_series(metric metrics, subject text, stripe smallint, at timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_fine   timestamptz := _bucket_start((_open_series.metric).fine_bucket, _open_series.at);
    v_series series;
    v_id     integer;
begin
    select * into v_series
    from series s
    where s.metric = (_open_series.metric).key and s.subject = _open_series.subject and s.stripe = _open_series.stripe
    for update;
    if not found then
        if _open_series.stripe > 0 then
            perform _series_id(_open_series.metric, _open_series.subject, _open_series.at);
        end if;
        perform _create_series(array[(_open_series.metric).key], array[_open_series.subject], array[_open_series.stripe], array[_open_series.at]);
        if _open_series.stripe > 0 then
            v_id := _series_id(_open_series.metric, _open_series.subject, _open_series.at);
            perform _note_stripes(v_id);
            -- While row 0 was waited for, its subject may have been erased: then this row is nobody's, and the caller tries again.
            if v_id <> _series_id(_open_series.metric, _open_series.subject, _open_series.at) then
                delete from series s where s.metric = (_open_series.metric).key and s.subject = _open_series.subject
                    and s.stripe = _open_series.stripe and s.series_id = v_id;
            end if;
        end if;
        return;
    end if;
    perform _refuse_moved(array[_open_series.subject]);  -- see _homes.sql
    if v_fine <= now() and (v_fine > v_series.fine_start or v_series.coarse_last_at = '-infinity') and v_fine <> v_series.fine_start then
        v_series := _open_buckets(_open_series.metric, v_series, v_fine);
        v_series.newest_start := greatest(v_series.newest_start, v_fine);
    end if;
    perform _write_series(_open_series.metric, v_series);
end
$$;

comment on function _open_series(metrics, text, smallint, timestamptz) is
    'Creates the row of a subject, metric and stripe in series, or opens the buckets of an event at that time in it.';

create or replace function _series_id(metric metrics, subject text, at timestamptz)
returns integer
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_id integer;
begin
    loop
        select s.series_id into v_id
        from series s
        where s.metric = (_series_id.metric).key and s.subject = _series_id.subject and s.stripe = 0;
        exit when found;
        perform _create_series(array[(_series_id.metric).key], array[_series_id.subject], '{0}', array[_series_id.at]);
    end loop;
    return v_id;
end
$$;

comment on function _series_id(metrics, text, timestamptz) is 'The id of a subject and metric in series, created if there is none.';
