-- In a shared schema, rights are changed on these objects only.
create or replace function _meter_objects()
returns table (kind text, oid oid, name name, signature text, owner oid, acl aclitem[])
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_schema oid := quote_ident(current_schema())::regnamespace;
begin
    return query
        select 'function', p.oid, p.proname,
               format('%I.%I(%s)', current_schema(), p.proname, pg_get_function_identity_arguments(p.oid)),
               p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
        from pg_proc p
        where p.pronamespace = v_schema and p.proname in (select o.name from installed_objects o where o.kind = 'function')
        union all
        select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid, c.relname,
               format('%I.%I', current_schema(), c.relname), c.relowner, c.relacl
        from pg_class c
        where c.relnamespace = v_schema and c.relkind in ('r', 'p', 'v', 'm', 'S') and (
            c.relname in (select o.name from installed_objects o where o.kind = 'relation')
            or c.oid in (select i.inhrelid from pg_inherits i where i.inhparent = to_regclass('events'))
            or c.relname ~ '^events_.*_detached(_[0-9]+)?$');
end
$$;

comment on function _meter_objects() is
    'Returns the functions, tables, views and sequences of this installation with their privileges, including partitions of the log '
    'and those that were detached.';

create or replace function _register_objects()
returns void
language sql
volatile
set search_path from current
as $$
    insert into installed_objects (kind, name)
    select 'function', unnest(nullif(current_setting('pymeter.functions', true), '')::text[])
    union
    select 'relation', unnest(nullif(current_setting('pymeter.relations', true), '')::text[])
    on conflict do nothing
$$;

comment on function _register_objects() is 'Adds the objects that the installer has just created to installed_objects.';

-- ALTER DEFAULT PRIVILEGES, which some hosts set for every role, would give others rights on new objects. The rights of PUBLIC on functions
-- are revoked in _apply_access().
create or replace function _close_new_objects()
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_functions oid[] := nullif(current_setting('pymeter.known_functions', true), '');
    v_relations oid[] := nullif(current_setting('pymeter.known_relations', true), '');
    v_object    record;
begin
    for v_object in
        select o.kind, o.name, o.signature, a.grantee
        from _meter_objects() o, aclexplode(o.acl) a
        where o.oid <> all (case o.kind when 'function' then v_functions else v_relations end) and a.grantee <> o.owner
        group by o.kind, o.name, o.signature, a.grantee
    loop
        if v_object.kind = 'function' and v_object.grantee <> 0 then
            execute format('revoke all on function %s from %s cascade', v_object.signature, v_object.grantee::regrole);
        elsif v_object.kind <> 'function' then
            perform _close_relation(v_object.name);
        end if;
    end loop;
end
$$;

comment on function _close_new_objects() is 'Revokes every right on newly installed objects from all roles but the owner.';

create or replace function _revoke_schema(role regrole)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_schema oid := quote_ident(current_schema())::regnamespace;
begin
    -- The schema may have objects that do not belong to pymeter, and the role may need access to them.
    if not exists (
        select from pg_proc p where p.pronamespace = v_schema and p.oid not in (select o.oid from _meter_objects() o where o.kind = 'function')
        union all
        select from pg_class c
        where c.relnamespace = v_schema and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
          and c.oid not in (select o.oid from _meter_objects() o where o.kind <> 'function')
    ) then
        execute format('revoke all on schema %I from %s cascade', current_schema(), _revoke_schema.role);
    end if;
end
$$;

comment on function _revoke_schema(regrole) is
    'Revokes every right on the schema from a role, unless the schema has objects that do not belong to pymeter.';
