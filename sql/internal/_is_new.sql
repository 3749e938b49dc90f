create or replace function _is_new(bucket text, slots bit varying, seen bit varying, added bit varying)
returns boolean
language sql
immutable parallel safe
as $$
    select added is null or bucket in ('hour', 'day') and bit_count(seen & ~ added & slots) = 0
$$;

comment on function _is_new(text, bit varying, bit varying, bit varying) is
    'Whether the change that a row of unique_members just had made its member new in a bucket, given the bucket''s kind and slots.';
