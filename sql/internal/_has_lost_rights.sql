create or replace function _has_lost_rights()
returns boolean
language sql
stable
set search_path from current
as $$
    select exists (select from _open_functions())
        or exists (select from access_grants g where g.cluster <> _cluster() and g.role_name in (select rolname from pg_roles))
        or exists (
            select from pg_namespace n, _grants() g
            where n.nspname = current_schema() and n.nspacl is null and g.role is not null)
$$;

comment on function _has_lost_rights() is 'Whether pymeter migrate has to repair rights that a restore has lost.';
