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
