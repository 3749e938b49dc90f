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
