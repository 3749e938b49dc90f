create or replace function _lock_rebuild()
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _lock('rebuild');
end
$$;

comment on function _lock_rebuild() is 'Waits until no other transaction rebuilds, and keeps others from it until this one ends.';
