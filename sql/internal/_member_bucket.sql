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
