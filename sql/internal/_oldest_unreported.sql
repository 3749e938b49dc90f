create or replace function _oldest_unreported()
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
begin
    return least(
        (select min(at) from unreported),
        (select min(stamped_at) from pushes where state in ('planned', 'sending')),
        (select min(stamped_at) from pushes where state in ('uncertain', 'held', 'rejected')));
end
$$;

comment on function _oldest_unreported() is
    'The time of the oldest usage that a biller is to be told of and is not known to have counted; null if there is none.';
