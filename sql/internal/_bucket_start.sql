-- Rollups are cut by the UTC calendar, whatever the session's time zone. Inlined: no SET, nothing outside pg_catalog.
create or replace function _bucket_start(bucket text, at timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select case bucket
        when 'never' then timestamptz '1970-01-01 00:00:00+00'
        else date_trunc(bucket, at at time zone 'UTC') at time zone 'UTC'
    end
$$;

comment on function _bucket_start(text, timestamptz) is
    'The first instant of the rollup bucket (minute to year, or never) that an instant lies in; UTC, weeks from Monday.';
