create or replace function _level_rights(level text)
returns table (oid oid, signature text, acl aclitem[])
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select p.oid, format('%I.%I(%s)', current_schema(), p.proname, pg_get_function_identity_arguments(p.oid)),
               coalesce(p.proacl, acldefault('f', p.proowner))
        from _level_functions() l
        join pg_proc p on p.proname = l.function and p.pronamespace = quote_ident(current_schema())::regnamespace
        where l.level = _level_rights.level
        order by p.proname;
end
$$;

comment on function _level_rights(text) is
    'Returns the installed functions of a level: their oids, their signatures for GRANT, and their privileges.';

create or replace function _check_level(level text, subject text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if level is not null then
        perform _check_word('level', level, '{read,write,report,admin,approve,login,own}');
    end if;
    if subject is not null and level is distinct from 'read' then
        raise exception using
            errcode = '22023', message = 'only level read can be granted for a subject', column = 'subject',
            detail = format('level %s.', coalesce(quote_literal(level), 'null')),
            hint = 'Grant read with a subject, or the level without a subject.';
    end if;
    if subject is not null then
        perform _check_name('subject', subject, 512);
    end if;
end
$$;

comment on function _check_level(text, text) is
    'Raises 22023 for an unknown level, for a subject with a level other than read, and for a subject that is blank or too long.';

create or replace function _access_role(role text)
returns regrole
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role oid;
begin
    if _access_role.role is null then
        raise exception using errcode = '22004', message = 'role is null', column = 'role', hint = 'Pass the name of a role of this server.';
    end if;
    select oid into v_role from pg_roles where rolname = _access_role.role;
    if v_role is null then
        raise exception using
            errcode = '22023', message = 'unknown role', column = 'role',
            detail = format('role %s.', quote_literal(left(_access_role.role, 80))),
            hint = 'Create the role first. The name is case-sensitive. PUBLIC is not a role; access cannot be granted to it.';
    elsif _access_role.role = current_user then
        raise exception using
            errcode = '22023', message = 'the role owns the meter', column = 'role',
            detail = format('role %s.', quote_literal(left(_access_role.role, 80))),
            hint = 'The owner has all rights. Let applications connect as another role.';
    end if;
    -- A concurrent GRANT and CREATE OR REPLACE of one function would fail with "tuple concurrently updated". Installers hold this lock.
    begin
        lock table yoyo_lock in share row exclusive mode;
    exception when lock_not_available then
        perform _raise_busy('rights');
    end;
    return v_role;
end
$$;

comment on function _access_role(text) is
    'Returns the role of that name and locks access rights until the end of the transaction. Raises 22004 for null, 22023 for an '
    'unknown role or the owner, 55P03 after lock_timeout.';

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
        from _meter_objects() o, aclexplode(o.acl) a
        where a.grantee <> o.owner
        union all
        select a.grantee, a.privilege_type, 'table', c.relname || '.' || t.attname
        from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
        where c.oid in (select o.oid from _meter_objects() o where o.kind <> 'function') and a.grantee <> c.relowner
        union all
        select a.grantee, a.privilege_type, 'schema', n.nspname
        from pg_namespace n, aclexplode(n.nspacl) a
        where n.oid = v_schema and a.grantee <> n.nspowner;
end
$$;

comment on function _privileges() is
    'Returns every privilege on the schema and on its functions, tables, columns and sequences that a role other than the owner has. '
    'Role 0 is PUBLIC.';
