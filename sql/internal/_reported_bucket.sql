-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _reported_bucket(aggregate text, mode text, period text)
returns text
language sql
immutable parallel safe
as $$
    select case when mode <> 'last' and aggregate in ('sum', 'count') then 'hour' else period end
$$;

comment on function _reported_bucket(text, text, text) is
    'The kind of bucket that a metric is reported by: an hour where parts add up to the whole, else its period.';
