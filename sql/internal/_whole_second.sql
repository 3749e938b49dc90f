create or replace function _whole_second(at timestamptz)
returns timestamptz
language sql
immutable parallel safe
as $$
    select date_trunc('second', at at time zone interval '0') at time zone interval '0'
$$;

comment on function _whole_second(timestamptz) is 'The second that an instant lies in.';
