create or replace function _partition_name(month timestamptz)
returns text
language sql
immutable parallel safe
as $$
    select to_char(month at time zone interval '0', '"events_"YYYY_MM')
$$;

comment on function _partition_name(timestamptz) is 'The name of the log''s partition for the month (UTC) of an instant.';
