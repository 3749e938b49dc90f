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
