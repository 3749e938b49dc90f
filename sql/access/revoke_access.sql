create or replace function revoke_access(role text, level text default null, subject text default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role      regrole := case when not _is_open('revoke_access') or _check_caller('revoke_access') then _access_role(revoke_access.role) end;
    v_signature text;
begin
    perform _remap_grants(), _log_change('revoke_access', revoke_access.role, (
        select jsonb_agg(jsonb_build_object('level', g.level, 'subject', g.subject) order by g.level, g.subject)
        from access_grants g
        where g.role = v_role and (revoke_access.level is null or g.level = revoke_access.level)
          and (revoke_access.subject is null or g.subject = revoke_access.subject)), null);
    if revoke_access.level is null and revoke_access.subject is null then
        for v_signature in select format('%s %s', o.kind, o.signature) from _meter_objects() o loop
            execute format('revoke all on %s from %s cascade', v_signature, v_role);
        end loop;
        perform _revoke_schema(v_role);
        delete from access_grants g where g.role = v_role;
        return;
    end if;
    perform _check_level(revoke_access.level, revoke_access.subject);
    delete from access_grants g
    where g.role = v_role and g.level = revoke_access.level
      and (revoke_access.subject is null or g.subject = revoke_access.subject);
    for v_signature in
        select r.signature
        from unnest(array['own', revoke_access.level]) as l (level), _level_rights(l.level) r
        where (revoke_access.subject is null or l.level = 'own')
          and not (l.level = 'own' and exists (select from access_grants g where g.role = v_role and (g.subject is not null or g.level = 'own')))
    loop
        execute format('revoke all on function %s from %s cascade', v_signature, v_role);
    end loop;
    if not exists (select from _meter_objects() o, aclexplode(o.acl) a where o.kind = 'function' and a.grantee = v_role) then
        perform _revoke_schema(v_role);
    end if;
end
$$;

comment on function revoke_access(text, text, text) is
    'Revokes every right on the meter from a role, also those that were not granted by grant_access(). With a level: only the '
    'functions of that level. With level read and a subject: only that subject. Rights that the role has through membership in '
    'another role remain; access() shows them. Only the owner of the meter can call it. Raises 22004 for a null role, 22023 for an '
    'unknown role or level, 55P03 after lock_timeout. '
    'Example: SELECT meter.revoke_access(''app''); '
    'SELECT count(*) AS grants FROM meter.access() WHERE role = ''app'';';
