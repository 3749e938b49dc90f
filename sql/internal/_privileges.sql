create or replace function _privileges()
returns table (role oid, privilege text, kind text, object name)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_schema oid := quote_ident(current_schema())::regnamespace;
begin
    return query
        select a.grantee, a.privilege_type, case o.kind when 'function' then 'function' else 'table' end, o.name
        from _own_objects() o, aclexplode(o.acl) a
        where a.grantee <> o.owner
        union all
        select a.grantee, a.privilege_type, 'table', c.relname || '.' || t.attname
        from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
        where c.oid in (select o.oid from _own_objects() o where o.kind <> 'function') and a.grantee <> c.relowner
        union all
        select a.grantee, a.privilege_type, 'schema', n.nspname
        from pg_namespace n, aclexplode(n.nspacl) a
        where n.oid = v_schema and a.grantee <> n.nspowner;
end
$$;

comment on function _privileges() is
    'Every privilege on the schema, its functions, tables, columns and sequences that anybody but the owner has; role 0 is PUBLIC.';
