-- Not the session's way of writing a time: in some, a zone is written that is then read as another one.
create or replace function _partition_bounds(month timestamptz)
returns text[]
language sql
immutable parallel safe
as $$
    select array[to_char(month at time zone interval '0', 'YYYY-MM-DD "00:00:00+00"'),
                 to_char(month at time zone interval '0' + interval '1 month', 'YYYY-MM-DD "00:00:00+00"')]
$$;

comment on function _partition_bounds(timestamptz) is 'Since and until of the month that starts at an instant (UTC), as literals.';
