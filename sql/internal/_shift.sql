-- Plain addition would count days and months in the session's time zone. Inlined: no SET, nothing outside pg_catalog.
create or replace function _shift(at timestamptz, span interval)
returns timestamptz
language sql
immutable parallel safe
as $$
    select (at at time zone 'UTC' + span) at time zone 'UTC'
$$;

comment on function _shift(timestamptz, interval) is 'An instant and a span later, counted in UTC.';
