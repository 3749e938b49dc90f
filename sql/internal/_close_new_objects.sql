-- ALTER DEFAULT PRIVILEGES, which some hosts set for every role, would open what is new to others. PUBLIC loses what it has on functions
-- in _apply_access(), new or not.
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
        from _own_objects() o, aclexplode(o.acl) a
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

comment on function _close_new_objects() is 'Takes every right on what an installation has just created from everybody but the owner.';
