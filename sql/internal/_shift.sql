-- Plain addition would count days and months in the session's time zone. Inlined: no SET, nothing outside pg_catalog.
create or replace function _shift(at timestamptz, span interval)
returns timestamptz
language sql
immutable parallel safe
as $$
    select (at at time zone interval '0' + span) at time zone interval '0'
$$;

comment on function _shift(timestamptz, interval) is 'An instant and a span later, counted in UTC.';
