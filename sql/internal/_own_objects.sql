-- In a schema that pymeter shares with others, rights are changed on these objects alone.
create or replace function _own_objects()
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

comment on function _own_objects() is
    'The functions, tables, views and sequences of this installation, with their privileges; months of the log and those taken out of it too.';
