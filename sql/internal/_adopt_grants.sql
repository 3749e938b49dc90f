-- In another cluster the oids of roles are others. A role that does not exist there yet is found when it has been created.
create or replace function _adopt_grants()
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    delete from access_grants g where g.cluster = _cluster() and not exists (select from pg_roles r where r.oid = g.role);
    insert into access_grants (role, role_name, cluster, level, subject, granted_at)
    select r.oid, r.rolname, _cluster(), g.level, g.subject, g.granted_at
    from access_grants g join pg_roles r on r.rolname = g.role_name
    where g.cluster <> _cluster()
    on conflict (cluster, role, level, subject) do nothing;
    delete from access_grants g where g.cluster <> _cluster() and exists (select from pg_roles r where r.rolname = g.role_name);
    update access_grants g set role_name = r.rolname from pg_roles r where r.oid = g.role and g.cluster = _cluster() and g.role_name <> r.rolname;
end
$$;

comment on function _adopt_grants() is
    'Makes the roles in access_grants those of this cluster, forgets the ones that were dropped, and notes new names.';
