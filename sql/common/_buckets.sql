-- Buckets follow the UTC calendar, independent of the session's time zone. Units of fixed length are counted from a Monday before 1970:
-- date_bin() costs a tenth of date_trunc(). Inlined: no SET, nothing outside pg_catalog.
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
    'The start of the bucket (minute to year, or never) that contains an instant; UTC, weeks start on Monday.';

-- Inlined into record(). PostgreSQL initialises every function call of an expression in each transaction, so this looks the length up in
-- an array instead of having one addition for each unit.
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

comment on function _bucket_end(text, timestamptz) is 'The end (exclusive) of the bucket that starts at bucket_start; infinity for never.';

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

comment on function _next_bucket_start(text, timestamptz) is 'The first start of a bucket at or after an instant.';

-- Plain addition would add days and months in the session's time zone. Inlined: no SET, nothing outside pg_catalog.
create or replace function _shift(at timestamptz, span interval)
returns timestamptz
language sql
immutable parallel safe
as $$
    select (at at time zone interval '0' + span) at time zone interval '0'
$$;

comment on function _shift(timestamptz, interval) is 'Adds an interval to an instant, in UTC.';
