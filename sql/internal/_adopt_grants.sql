-- In another cluster the oids of roles are others. A role that does not exist there yet is found when it has been created.
create or replace function _adopt_grants()
returns setof access_right
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    delete from access_grants g where g.cluster = _cluster() and not exists (select from pg_roles r where r.oid = g.role);
    update access_grants g set role_name = r.rolname
    from pg_roles r
    where r.oid = g.role and g.cluster = _cluster() and g.role_name <> r.rolname;
    -- Who has none of a level's functions did not exist yet when privileges were restored.
    return query
        select distinct g.role_name, g.functions, null::text, false, '{}'::text[], '{}'::text[]
        from _grants() g
        where g.role is not null
          and exists (select from access_grants o where o.cluster <> _cluster() and o.role_name = g.role_name)
          and not exists (select from _level_rights(g.functions) r, aclexplode(r.acl) a where a.grantee = g.role);
    insert into access_grants (role, role_name, cluster, level, subject, granted_at)
    select r.oid, r.rolname, _cluster(), g.level, g.subject, g.granted_at
    from access_grants g join pg_roles r on r.rolname = g.role_name
    where g.cluster <> _cluster()
    on conflict (cluster, role, level, subject) do nothing;
    delete from access_grants g where g.cluster <> _cluster() and exists (select from pg_roles r where r.rolname = g.role_name);
end
$$;

comment on function _adopt_grants() is
    'Makes the roles in access_grants those of this cluster, forgets the ones that were dropped, and notes new names. Returns roles that '
    'were granted a level in another cluster and have none of its functions here.';
