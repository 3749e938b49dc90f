-- Null until a biller is connected: nothing is to be reported then.
create or replace function _oldest_unreported()
returns timestamptz
language sql
stable parallel safe
as $$
    select null::timestamptz
$$;

comment on function _oldest_unreported() is 'The time of the oldest usage that no biller has been told of yet; null if there is none.';
