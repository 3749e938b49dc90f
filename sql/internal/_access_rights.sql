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

comment on function _access_rights() is 'access(), for health() too.';
