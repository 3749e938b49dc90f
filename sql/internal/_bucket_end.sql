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
