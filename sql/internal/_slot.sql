-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _slot(slot_bucket text, at timestamptz)
returns bit varying
language sql
immutable parallel safe
as $$
    select case slot_bucket
        when 'hour' then set_bit(0::bit(744), 24 * (extract(day from at at time zone interval '0')::int - 1)
                                              + extract(hour from at at time zone interval '0')::int, 1)
        when 'day' then set_bit(0::bit(31), extract(day from at at time zone interval '0')::int - 1, 1)
    end
$$;

comment on function _slot(text, timestamptz) is
    'The bit of unique_members.seen for the hour or day that an instant lies in; null if there are no bits.';
