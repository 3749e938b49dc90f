-- SHA-256, truncated to 128 bits: collisions cannot be constructed. md5() does not run in FIPS mode.
-- Stable like convert_to(), or it would not be inlined. Inlined: no SET, nothing outside pg_catalog.
create or replace function _digest(value text)
returns uuid
language sql
stable parallel safe
as $$
    select encode(substr(sha256(convert_to(value, 'UTF8')), 1, 16), 'hex')::uuid
$$;

comment on function _digest(text) is 'The first 128 bits of the SHA-256 of a text.';

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
    'The kind of bucket of the rows of unique_members that hold the members of a period or rollup; null for none.';

-- Each row of unique_members has one bit for each hour, or each day, of its month in which the member was seen. With hours and days both in
-- use, bits are hours, and a day is 24 of them.
create or replace function _seen_unit(period text, rollup text)
returns text
language sql
immutable parallel safe
as $$
    select case
        when 'hour' in (period, rollup) then 'hour'
        when 'day' in (period, rollup) then 'day'
    end
$$;

comment on function _seen_unit(text, text) is
    'The unit of one bit of unique_members.seen, from a metric''s period and rollup: hour, day, or null if the metric has no bits.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _seen_bit(unit text, at timestamptz)
returns bit varying
language sql
immutable parallel safe
as $$
    select case unit
        when 'hour' then set_bit(0::bit(744), 24 * (extract(day from at at time zone interval '0')::int - 1)
                                              + extract(hour from at at time zone interval '0')::int, 1)
        when 'day' then set_bit(0::bit(31), extract(day from at at time zone interval '0')::int - 1, 1)
    end
$$;

comment on function _seen_bit(text, timestamptz) is
    'A mask of unique_members.seen with the one bit of the hour or day that contains an instant; null without bits.';

-- All ones, shifted from both ends. Every month has bits for 31 days, so that all strings have the same length; in UTC every day has 24
-- hours. Inlined: no SET, nothing outside pg_catalog.
create or replace function _seen_mask(unit text, month timestamptz, since timestamptz, until timestamptz)
returns bit varying
language sql
immutable parallel safe
as $$
    select case unit
        when 'hour' then
            ((~ 0::bit(744)) >> extract(epoch from greatest(since, month) - month)::int / 3600)
            & ((~ 0::bit(744)) << 744 - extract(epoch from least(until, month + interval '744 hours') - month)::int / 3600)
        when 'day' then
            ((~ 0::bit(31)) >> extract(epoch from greatest(since, month) - month)::int / 86400)
            & ((~ 0::bit(31)) << 31 - extract(epoch from least(until, month + interval '744 hours') - month)::int / 86400)
    end
$$;

comment on function _seen_mask(text, timestamptz, timestamptz, timestamptz) is
    'A mask of unique_members.seen with the bits of the hours or days of [since, until) in a month; null without bits.';

create or replace function _is_new_member(bucket text, mask bit varying, seen bit varying, added bit varying)
returns boolean
language sql
immutable parallel safe
as $$
    select added is null or bucket in ('hour', 'day') and bit_count(seen & ~ added & mask) = 0
$$;

comment on function _is_new_member(text, bit varying, bit varying, bit varying) is
    'Whether the last upsert of a row of unique_members made its member new in a bucket. mask: the bits of the bucket; seen and added: '
    'the columns of the row.';
