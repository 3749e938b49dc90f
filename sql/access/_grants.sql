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
    'Returns what grant_access() has granted: the role of this cluster, or null if there is no role of that name here; and as '
    'functions the level in _level_functions().';

create or replace function _cluster()
returns bigint
language sql
stable
set search_path from current
as $$
    select system_identifier from pg_control_system()
$$;

comment on function _cluster() is 'Returns the system identifier of this database cluster. It differs after a dump is restored elsewhere.';

-- Another cluster has other role oids, so roles are found by name. A role that does not exist yet is found by a later call.
create or replace function _remap_grants()
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
    -- A role that has none of its level's functions did not exist when the privileges were restored.
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

comment on function _remap_grants() is
    'Maps access_grants from another cluster to the roles of this one, deletes grants of dropped roles, and updates names of renamed '
    'roles. Returns the roles that were granted a level in another cluster and have none of its functions here.';

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

comment on function _has_lost_rights() is 'Returns whether pymeter migrate has to repair rights that a restore has lost.';

create or replace function _access_rights()
returns setof access_right
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        with granted as (
            select g.role, g.role_name, g.level, g.subject, g.functions from _grants() g
        ), privileges as (
            select distinct p.role, p.privilege, p.kind, p.object, l.level as functions
            from _privileges() p
            left join _level_functions() l on p.kind = 'function' and l.function = p.object
        ), rights as (
            select g.role, g.role_name, g.level, g.subject,
                   (select count(*) from _level_rights(g.functions)) = count(p.object) and not exists (select from _open_functions())
                       and coalesce(has_schema_privilege(g.role, current_schema(), 'usage'), false) as complete,
                   coalesce(array_agg(p.object::text order by p.object) filter (where p.object is not null), '{}') as rights
            from granted g
            left join privileges p on p.role = g.role and p.functions = g.functions
            group by g.role, g.role_name, g.level, g.subject, g.functions
            union all
            select p.role, null, null, null, null, array_agg(format('%s on %s %s', p.privilege, p.kind, p.object) order by p.object, p.privilege)
            from privileges p
            where (p.privilege, p.kind) <> ('USAGE', 'schema')
              and not exists (select from granted g where g.role = p.role and g.functions = p.functions)
            group by p.role
        )
        select coalesce(r.rolname::text, rights.role_name, case rights.role when 0 then 'public' else rights.role::text end),
               rights.level, rights.subject, rights.complete, rights.rights,
               array(select m.rolname::text from pg_roles m
                     where m.oid <> r.oid and not m.rolsuper and pg_has_role(m.oid, r.oid, 'member') order by m.rolname)
        from rights
        left join pg_roles r on r.oid = rights.role
        order by 1, rights.level nulls last, rights.subject;
end
$$;

comment on function _access_rights() is 'Returns the rows of access(), for access() and health().';
