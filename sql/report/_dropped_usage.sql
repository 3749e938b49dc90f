-- A bucket may also cover months that were not dropped: the events of those are subtracted from the rollup.
create or replace function _dropped_remainder(
    biller text, series_id integer, subject text, metric text, fine_bucket text, bucket_start timestamptz, dropped timestamptz[]
)
returns table (value numeric, at timestamptz)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_kind  text := case when _dropped_remainder.fine_bucket in ('minute', 'hour') then 'hour' else _dropped_remainder.fine_bucket end;
    v_since timestamptz := _bucket_start(v_kind, _dropped_remainder.bucket_start);
    v_until timestamptz := _bucket_end(v_kind, v_since);
    v_kept  numeric := 0;
begin
    if v_kind in ('week', 'year', 'never') then
        select coalesce(sum(e.quantity), 0) into v_kept
        from events e
        where e.series_id = _dropped_remainder.series_id and e.at >= v_since and e.at < v_until
          and _bucket_start('month', e.at) <> all (_dropped_remainder.dropped);
    end if;
    return query
        select coalesce(sum(b.total), 0) - v_kept - coalesce((
                   select sum(d.quantity + d.as_events) from reported d
                   where d.subject = _dropped_remainder.subject and d.metric = _dropped_remainder.metric
                     and d.biller = _dropped_remainder.biller and d.bucket_start >= v_since and d.bucket_start < v_until
                     and _bucket_start('month', d.bucket_start) = any (_dropped_remainder.dropped)), 0),
               least(max(b.last_at), (
                   select max(_bucket_end('month', m.month)) - interval '1 second' from unnest(_dropped_remainder.dropped) m (month)
                   where m.month < v_until and _bucket_end('month', m.month) > v_since))
        from buckets b
        where b.series_id = _dropped_remainder.series_id
          and b.bucket = _dropped_remainder.fine_bucket and b.bucket_start >= v_since and b.bucket_start < v_until;
end
$$;

comment on function _dropped_remainder(text, integer, text, text, text, timestamptz, timestamptz[]) is
    'For a dropped part of the log, the sum or count that the rollups hold beyond what was planned, and the time of its latest usage. The '
    'part begins at _dropped_start().';

-- Buckets of up to a month, except weeks, lie within one month. Those of a week, a year or never may span several, and may begin in one
-- that was not dropped.
create or replace function _dropped_start(fine_bucket text, at timestamptz, dropped timestamptz[])
returns timestamptz
language sql
immutable parallel safe
set search_path from current
as $$
    select case
        when fine_bucket in ('minute', 'hour') then _bucket_start('hour', at)
        when fine_bucket in ('day', 'month') then _bucket_start(fine_bucket, at)
        else (
            select greatest(min(m.month), _bucket_start(fine_bucket, at))
            from unnest(dropped) m (month)
            where m.month < _bucket_end(fine_bucket, _bucket_start(fine_bucket, at))
              and _bucket_end('month', m.month) > _bucket_start(fine_bucket, at))
    end
$$;

comment on function _dropped_start(text, timestamptz, timestamptz[]) is
    'Where the unit that is reported as one begins if its events were dropped: the hour of a time, or, for coarser rollups, the part of the '
    'bucket that starts with its first dropped month.';
