-- Inside a SECURITY DEFINER function, current_user is the owner. Inlined: no SET, nothing outside pg_catalog.
create or replace function _session_role()
returns text
language sql
stable
as $$
    select coalesce(nullif(current_setting('role'), 'none'), session_user)
$$;

comment on function _session_role() is 'The role that logged in, or that SET ROLE has chosen.';
