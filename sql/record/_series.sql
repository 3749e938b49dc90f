-- Of a series with stripes, row 0 does not have the whole total.
-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_ordinary(metric metrics, stripe smallint, has_stripes boolean)
returns boolean
language sql
immutable parallel safe
as $$
    select metric.aggregate in ('sum', 'count') and metric.period = metric.coarse_bucket and not metric.striped
        and stripe = 0 and not has_stripes
$$;

comment on function _is_ordinary(metrics, smallint, boolean) is 'The value of series.is_ordinary for a row of a series.';

-- Locks the row of a series, which is created first if this is the subject's first event of the metric. A new row has no events yet; its
-- open buckets are those of `at`, or the clock's if that is ahead of it.
create or replace function _lock_series(metric metrics, subject text, stripe smallint, at timestamptz)
returns series
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_key    text := (_lock_series.metric).key;
    v_series series;
begin
    loop
        select * into v_series
        from series s
        where s.metric = v_key and s.subject = _lock_series.subject and s.stripe = _lock_series.stripe
        for update;
        exit when found;
        perform _create_series(_lock_series.metric, _lock_series.subject, _lock_series.stripe, _lock_series.at);
    end loop;
    return v_series;
end
$$;

comment on function _lock_series(metrics, text, smallint, timestamptz) is
    'The row of a subject, metric and stripe in series, locked until the transaction ends. Created if there is none.';

create or replace function _create_series(metric metrics, subject text, stripe smallint, at timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_fine   timestamptz := _bucket_start((_create_series.metric).fine_bucket, least(_create_series.at, now()));
    v_coarse timestamptz := _bucket_start((_create_series.metric).coarse_bucket, v_fine);
    v_id     integer;
begin
    if _create_series.stripe > 0 then
        select s.series_id into v_id
        from series s
        where s.metric = (_create_series.metric).key and s.subject = _create_series.subject and s.stripe = 0 and s.has_stripes
        for key share;  -- keeps maintain() from merging the stripes, which would leave a row above 0 without has_stripes
        if not found then
            v_id := (_lock_series(_create_series.metric, _create_series.subject, 0::smallint, _create_series.at)).series_id;
            update series s set has_stripes = true, is_ordinary = false, version = s.version + 1 where s.series_id = v_id and s.stripe = 0;
        end if;
    end if;
    insert into series (metric, subject, stripe, series_id, revision, has_stripes, is_ordinary, is_count, unit, billers, newest_start,
                        fine_start, fine_end, fine_last_at, coarse_start, coarse_end, coarse_last_at, fine_total, coarse_total)
    select (_create_series.metric).key, _create_series.subject, _create_series.stripe, coalesce(v_id, nextval('series_ids')),
           (_create_series.metric).revision, v_id is not null, _is_ordinary(_create_series.metric, _create_series.stripe, v_id is not null),
           (_create_series.metric).aggregate = 'count',
           (_create_series.metric).unit, (_create_series.metric).billers, v_fine,
           v_fine, _bucket_end((_create_series.metric).fine_bucket, v_fine), v_fine,
           v_coarse, _bucket_end((_create_series.metric).coarse_bucket, v_coarse), v_fine, t.total, t.total
    from (select case when (_create_series.metric).aggregate in ('sum', 'count', 'avg', 'unique') then 0 end as total) t
    on conflict do nothing;
end
$$;

comment on function _create_series(metrics, text, smallint, timestamptz) is
    'Creates a row of series without events, unless it exists. A stripe above 0 makes the series one that is not ordinary.';

-- Sessions that run at the same time have different numbers in pg_locks, and these are small, so up to 64 of them have a stripe each. Looking
-- it up costs more than recording, so the session keeps it in a setting; one that is set to something else costs waiting, no more.
create or replace function _session_stripe()
returns smallint
language plpgsql
volatile
set search_path from current
as $$
declare
    v_kept text := current_setting('pymeter.stripe', true);
begin
    if v_kept <> '' then
        return v_kept;
    end if;
    select 1 + split_part(l.virtualtransaction, '/', 1)::integer % 64 into strict v_kept
    from pg_locks l
    where l.locktype = 'virtualxid' and l.pid = pg_backend_pid();
    perform set_config('pymeter.stripe', v_kept, false);
    return v_kept;
end
$$;

comment on function _session_stripe() is 'The stripe to which this session writes: 1 to 64.';

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
begin
    select * into v_series
    from series s
    where s.metric = (_open_series.metric).key and s.subject = _open_series.subject and s.stripe = _open_series.stripe
    for update;
    if not found then
        perform _create_series(_open_series.metric, _open_series.subject, _open_series.stripe, _open_series.at);
        return;
    end if;
    if v_fine <= now() and (v_fine > v_series.fine_start or v_series.coarse_count = 0) and v_fine <> v_series.fine_start then
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
        perform _create_series(_series_id.metric, _series_id.subject, 0::smallint, _series_id.at);
    end loop;
    return v_id;
end
$$;

comment on function _series_id(metrics, text, timestamptz) is 'The id of a subject and metric in series, created if there is none.';
