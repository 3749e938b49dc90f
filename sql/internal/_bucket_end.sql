create or replace function _bucket_end(bucket text, bucket_start timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select case bucket
        when 'never' then timestamptz 'infinity'
        when 'minute' then (bucket_start at time zone 'UTC' + interval '1 minute') at time zone 'UTC'
        when 'hour' then (bucket_start at time zone 'UTC' + interval '1 hour') at time zone 'UTC'
        when 'day' then (bucket_start at time zone 'UTC' + interval '1 day') at time zone 'UTC'
        when 'week' then (bucket_start at time zone 'UTC' + interval '7 days') at time zone 'UTC'
        when 'month' then (bucket_start at time zone 'UTC' + interval '1 month') at time zone 'UTC'
        when 'year' then (bucket_start at time zone 'UTC' + interval '1 year') at time zone 'UTC'
    end
$$;

comment on function _bucket_end(text, timestamptz) is
    'The first instant after the rollup bucket that starts at bucket_start; infinity for never.';
