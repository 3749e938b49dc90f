-- Runs last in every installation. A role that holds all older functions of a granted level gets the new ones too; if the owner has revoked
-- some of them by hand, the role gets none. A function that everybody may call has lost its privileges in a restore: it is revoked from
-- PUBLIC and granted again to all roles with its level.
create or replace function _apply_access()
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_known    oid[] := nullif(current_setting('pymeter.known_functions', true), '');
    v_lost     oid[];
    v_adopted  access_right[];
    v_function record;
begin
    perform _register_objects();
    v_adopted := array(select _remap_grants());
    perform _close_new_objects();
    v_lost := array(select oid from _open_functions() where v_known is null or oid = any (v_known));
    for v_function in select signature from _open_functions() loop
        execute format('revoke all on function %s from public cascade', v_function.signature);
    end loop;
    for v_function in
        select r.signature, g.role::regrole as role
        from (select distinct role, role_name, functions from _grants() where role is not null) g
        cross join lateral _level_rights(g.functions) r
        where r.oid = any (v_lost)
           or exists (select from unnest(v_adopted) n where n.role = g.role_name and n.level = g.functions)
           or r.oid <> all (v_known) and not exists (
            select from _level_rights(g.functions) old
            where old.oid = any (v_known) and old.oid <> all (v_lost)
              and not exists (select from aclexplode(old.acl) a where a.grantee = g.role))
    loop
        execute format('grant execute on function %s to %s', v_function.signature, v_function.role);
    end loop;
    if v_lost <> '{}' or v_adopted <> '{}' or (select nspacl is null from pg_namespace where nspname = current_schema()) then
        for v_function in select distinct role::regrole as role from _grants() where role is not null loop
            execute format('grant usage on schema %I to %s', current_schema(), v_function.role);
        end loop;
    end if;
end
$$;

comment on function _apply_access() is
    'Revokes default privileges on new objects, extends granted levels to new functions, and repairs privileges that a restore has '
    'lost.';
