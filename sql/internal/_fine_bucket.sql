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
