create or replace function _grants()
returns table (role oid, role_name text, level text, subject text, functions text)
language sql
stable
set search_path from current
as $$
    select r.oid, coalesce(r.rolname::text, g.role_name), g.level, g.subject, case when g.subject is null then g.level else 'own' end
    from access_grants g
    left join pg_roles r on case when g.cluster = _cluster() then r.oid = g.role else r.rolname = g.role_name end
$$;

comment on function _grants() is
    'What grant_access() has granted: to which role of this cluster, null if it has none of that name, and the level in _level_functions().';
