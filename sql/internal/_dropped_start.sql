-- Buckets of an hour to a month lie in one month; those of a week, a year or never may
-- lie in several, and begin in one that was not dropped.
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
    'The first instant of what is reported as one where the events were dropped: the hour of an instant, or the part of a coarser '
    'rollup that begins with its first dropped month.';
