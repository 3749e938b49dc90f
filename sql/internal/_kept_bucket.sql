-- Inlined: no SET, nothing outside pg_catalog. Buckets of the other kinds lie within one month.
create or replace function _kept_bucket(period text)
returns text
language sql
immutable parallel safe
as $$
    select case when period in ('week', 'year', 'never') then period else 'month' end
$$;

comment on function _kept_bucket(text) is
    'The kind of bucket for which the totals of dropped events of a metric with this period are kept.';
