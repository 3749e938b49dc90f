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

comment on function _level_rights(text) is 'The installed functions of a level, as GRANT names them, with their privileges.';
