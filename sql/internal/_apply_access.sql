-- Runs last in every installation. Who holds every older function of a level that he was granted gets its new ones too; where the owner
-- has taken some away by hand, nothing is given.
create or replace function _apply_access()
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_known    oid[] := nullif(current_setting('pymeter.known_functions', true), '');
    v_tables   oid[] := nullif(current_setting('pymeter.known_relations', true), '');
    v_function record;
    v_relation name;
begin
    delete from access_grants g where not exists (select from pg_roles r where r.oid = g.role);
    for v_relation in
        select c.relname from pg_class c
        where c.relnamespace = quote_ident(current_schema())::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S') and c.oid <> all (v_tables)
    loop
        perform _close_relation(v_relation);
    end loop;
    for v_function in
        select p.oid::regprocedure as signature, a.grantee::regrole as grantee
        from pg_proc p, aclexplode(p.proacl) a
        where p.pronamespace = quote_ident(current_schema())::regnamespace and p.oid <> all (v_known) and a.grantee not in (0, p.proowner)
    loop
        execute format('revoke all on function %s from %s cascade', v_function.signature, v_function.grantee);
    end loop;
    for v_function in
        select r.signature, g.role
        from (select distinct role, case when subject is null then level else 'own' end as level from access_grants) g
        cross join lateral _level_rights(g.level) r
        where r.oid <> all (v_known) and not exists (
            select from _level_rights(g.level) old
            where old.oid = any (v_known) and not exists (select from aclexplode(old.acl) a where a.grantee = g.role))
    loop
        execute format('grant execute on function %s to %s', v_function.signature, v_function.role);
    end loop;
end
$$;

comment on function _apply_access() is
    'Closes the functions and tables that an installation has just created, and extends what grant_access() has granted to new functions.';
