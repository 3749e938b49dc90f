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
