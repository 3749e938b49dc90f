-- In a block that is rolled back, as _catalog_kinds() is.
create or replace function _once_striped()
returns tid[]
language plpgsql
volatile
set search_path from current
as $$
declare
    v_places tid[];
begin
    v_places := array(select ctid from metrics where may_have_stripes and not striped);
    raise savepoint_exception;
exception when savepoint_exception then
    return v_places;
end
$$;

comment on function _once_striped() is 'The metrics (the places of their rows) that were striped and may have stripes left.';
