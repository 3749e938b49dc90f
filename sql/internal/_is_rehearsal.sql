-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_rehearsal(biller text)
returns boolean
language sql
immutable parallel safe
as $$
    select right(biller, 7) = '_shadow'
$$;

comment on function _is_rehearsal(text) is 'Whether a biller is one for rehearsals: its name ends in _shadow.';
