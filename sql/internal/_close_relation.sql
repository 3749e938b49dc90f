-- ALTER DEFAULT PRIVILEGES, which some hosts set for every role, would open new tables to others.
create or replace function _close_relation(name text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_relation regclass := format('%I.%I', current_schema(), _close_relation.name)::regclass;
    v_grantee  oid;
begin
    for v_grantee in
        select distinct a.grantee from pg_class c, aclexplode(c.relacl) a where c.oid = v_relation and a.grantee <> c.relowner
    loop
        execute format('revoke all on %s from %s cascade', v_relation, case v_grantee when 0 then 'public' else v_grantee::regrole::text end);
    end loop;
end
$$;

comment on function _close_relation(text) is 'Takes every right on a new table, view or sequence from everybody but its owner.';
