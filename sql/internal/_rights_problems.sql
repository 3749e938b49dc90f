create or replace function _rights_problems()
returns setof text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select format('everybody may call %s functions: run pymeter migrate', count(*)) from _open_functions() having count(*) > 0;
    return query
        select format('other roles may create objects in the schema: %s',
                      string_agg(distinct coalesce(r.rolname::text, 'public'), ', ' order by coalesce(r.rolname::text, 'public')))
        from pg_namespace n cross join aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee
        where n.nspname = current_schema() and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
          and r.rolname is distinct from current_user and r.rolsuper is not true
        having count(*) > 0;
end
$$;

comment on function _rights_problems() is 'What is wrong with the rights on the meter, as health() says it.';
