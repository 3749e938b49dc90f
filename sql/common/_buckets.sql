-- Of a metric's two kinds of bucket the finer one is derived from events, the coarser one from the finer.
-- A minute or hour period is finer than its rollup; every other period is coarser or the same.
create or replace function _fine_bucket(period text, rollup text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when rollup = 'none' or period in ('minute', 'hour') then period
        else rollup
    end
$$;

comment on function _fine_bucket(text, text) is
    'The finer of a metric''s kinds of bucket, given its period and rollup.';

create or replace function _coarse_bucket(period text, rollup text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when rollup = 'none' or period not in ('minute', 'hour') then period
        else rollup
    end
$$;

comment on function _coarse_bucket(text, text) is
    'The coarser of a metric''s kinds of bucket, given its period and rollup; the same as the finer one if it has only one kind.';

-- Rollups are cut by the UTC calendar, whatever the session's time zone. Units of one length are counted from a Monday before 1970, which
-- costs a tenth of truncating a date. Inlined: no SET, nothing outside pg_catalog.
create or replace function _bucket_start(bucket text, at timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select case
        when bucket in ('hour', 'day', 'minute', 'week') then date_bin(
            case bucket when 'hour' then interval '1 hour' when 'day' then interval '1 day'
                        when 'minute' then interval '1 minute' else interval '7 days' end,
            at, timestamptz '1969-12-29 00:00:00+00')
        when bucket = 'never' then timestamptz '1970-01-01 00:00:00+00'
        else date_trunc(bucket, at at time zone interval '0') at time zone interval '0'
    end
$$;

comment on function _bucket_start(text, timestamptz) is
    'The first instant of the rollup bucket (minute to year, or never) that an instant lies in; UTC, weeks from Monday.';

-- Inlined into record(), where PostgreSQL sets up every function call of an expression anew in each transaction: the length is looked up,
-- not chosen by a CASE of seven sums.
create or replace function _bucket_end(bucket text, bucket_start timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select case
        when bucket = 'never' then timestamptz 'infinity'
        else (bucket_start at time zone interval '0' + (
            array[interval '1 minute', interval '1 hour', interval '1 day', interval '7 days', interval '1 month', interval '1 year']
        )[array_position(array['minute', 'hour', 'day', 'week', 'month', 'year'], bucket)]) at time zone interval '0'
    end
$$;

comment on function _bucket_end(text, timestamptz) is
    'The first instant after the rollup bucket that starts at bucket_start; infinity for never.';

create or replace function _next_bucket_start(bucket text, at timestamptz)
returns timestamptz
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_start timestamptz := _bucket_start(bucket, at);
begin
    return case when v_start = at then at else _bucket_end(bucket, v_start) end;
end
$$;

comment on function _next_bucket_start(text, timestamptz) is
    'The first start of a rollup bucket that is not before an instant.';

-- Plain addition would count days and months in the session's time zone. Inlined: no SET, nothing outside pg_catalog.
create or replace function _shift(at timestamptz, span interval)
returns timestamptz
language sql
immutable parallel safe
as $$
    select (at at time zone interval '0' + span) at time zone interval '0'
$$;

comment on function _shift(timestamptz, interval) is 'An instant and a span later, counted in UTC.';
