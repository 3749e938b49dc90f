-- SHA-256 cut to 128 bits: no two different texts are known, or can be made, to share it. md5() would refuse to run in FIPS mode.
-- LANGUAGE sql without SET, and no less volatile than convert_to(), so that it is inlined; it names nothing outside pg_catalog.
create or replace function _digest(value text)
returns bytea
language sql
stable parallel safe
as $$
    select substr(sha256(convert_to(value, 'UTF8')), 1, 16)
$$;

comment on function _digest(text) is 'The first 128 bits of a text''s SHA-256.';

create or replace function _member_bucket(bucket text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when bucket in ('hour', 'day') then 'month'
        else nullif(bucket, 'none')
    end
$$;

comment on function _member_bucket(text) is
    'The kind of bucket whose rows in unique_members hold the members of a period or rollup; null for none.';

-- Of a metric with buckets of both kinds, a day is 24 of the hours.
create or replace function _slot_bucket(period text, rollup text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when 'hour' in (period, rollup) then 'hour'
        when 'day' in (period, rollup) then 'day'
    end
$$;

comment on function _slot_bucket(text, text) is
    'What one bit of unique_members.seen stands for, given a metric''s period and rollup: hour, day, or null where there are no bits.';

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

-- By shifting ones in from both ends. Every month has 31 days' bits, so that all strings have one length; UTC has no days of 23 hours.
-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _slots(slot_bucket text, month timestamptz, since timestamptz, until timestamptz)
returns bit varying
language sql
immutable parallel safe
as $$
    select case slot_bucket
        when 'hour' then
            ((~ 0::bit(744)) >> extract(epoch from greatest(since, month) - month)::int / 3600)
            & ((~ 0::bit(744)) << 744 - extract(epoch from least(until, month + interval '744 hours') - month)::int / 3600)
        when 'day' then
            ((~ 0::bit(31)) >> extract(epoch from greatest(since, month) - month)::int / 86400)
            & ((~ 0::bit(31)) << 31 - extract(epoch from least(until, month + interval '744 hours') - month)::int / 86400)
    end
$$;

comment on function _slots(text, timestamptz, timestamptz, timestamptz) is
    'The hours or days of [since, until) in a month as bits of unique_members.seen; null if there are no bits.';

create or replace function _is_new(bucket text, slots bit varying, seen bit varying, added bit varying)
returns boolean
language sql
immutable parallel safe
as $$
    select added is null or bucket in ('hour', 'day') and bit_count(seen & ~ added & slots) = 0
$$;

comment on function _is_new(text, bit varying, bit varying, bit varying) is
    'Whether the change that a row of unique_members just had made its member new in a bucket, given the bucket''s kind and slots.';
