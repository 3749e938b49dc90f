create or replace function _close_schema(role regrole)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_schema oid := quote_ident(current_schema())::regnamespace;
begin
    -- Somebody else's tables and functions may be there too, and the role may need to reach them.
    if not exists (
        select from pg_proc p where p.pronamespace = v_schema and p.oid not in (select o.oid from _own_objects() o where o.kind = 'function')
        union all
        select from pg_class c
        where c.relnamespace = v_schema and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
          and c.oid not in (select o.oid from _own_objects() o where o.kind <> 'function')
    ) then
        execute format('revoke all on schema %I from %s cascade', current_schema(), _close_schema.role);
    end if;
end
$$;

comment on function _close_schema(regrole) is 'Takes every right on the schema from a role, unless others than pymeter have something in it.';
