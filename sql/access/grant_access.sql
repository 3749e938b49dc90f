create or replace function grant_access(role text, level text, subject text default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role      regrole := case when not _is_open('grant_access') or _check_caller('grant_access') then _access_role(grant_access.role) end;
    v_functions text := case when grant_access.subject is null then grant_access.level else 'own' end;
    v_signature text;
    v_other     text;
begin
    if grant_access.level is null then
        raise exception using errcode = '22004', message = 'level is null', column = 'level',
            hint = 'Use read, write, report, admin, approve, login or own.';
    end if;
    perform _check_level(grant_access.level, grant_access.subject), _check_rights();
    -- Other functions disclose usage of every subject: record() returns totals, verify() returns subjects. So a bound role gets no other level.
    if v_functions = 'own' then
        select l.function into v_other
        from _level_functions() l, _level_rights(l.level) r
        where l.level <> 'own' and has_function_privilege(v_role, r.oid, 'execute')
        limit 1;
    end if;
    if v_other is not null or v_functions <> 'own' and exists (
        select from _grants() g where g.role = v_role and g.functions = 'own') then
        raise exception using
            errcode = '22023', message = 'a role cannot hold both scoped and unrestricted access', column = 'subject',
            detail = format('role %s %s.', v_role, case when v_other is null then 'is bound to subjects' else format('may call %s()', v_other) end),
            hint = 'Use another role, or revoke first: SELECT revoke_access(role). The rights may also come from a membership.';
    end if;

    execute format('grant usage on schema %I to %s', current_schema(), v_role);
    for v_signature in
        select signature from _level_rights(v_functions)
    loop
        execute format('grant execute on function %s to %s', v_signature, v_role);
    end loop;
    -- Without the right to grant, GRANT only raises a warning.
    if not has_schema_privilege(v_role, current_schema(), 'usage') or exists (
        select from _level_rights(v_functions) r where not has_function_privilege(v_role, r.oid, 'execute')) then
        raise exception using
            errcode = '42501', message = 'the owner of the meter may not grant rights on its schema', column = 'role',
            detail = format('schema %I, owner of the meter %I.', current_schema(), current_user),
            hint = format('Make it the owner of the schema: ALTER SCHEMA %I OWNER TO %I.', current_schema(), current_user);
    end if;
    insert into access_grants (role, role_name, cluster, level, subject)
    values (v_role, grant_access.role, _cluster(), grant_access.level, grant_access.subject)
    on conflict (cluster, role, level, subject) do nothing;
    if found then
        perform _log_change('grant_access', grant_access.role, null,
                            jsonb_build_object('level', grant_access.level, 'subject', grant_access.subject));
    end if;
end
$$;

comment on function grant_access(text, text, text) is
    'Grants a role EXECUTE on exactly the functions of a level (read, write, report, admin, approve, login or own), and no right on a table. '
    'login: authenticate(), for a server that takes the role of the key of each request. own: the functions that begin with own_, for the '
    'subject of the key that authenticate() accepted in the transaction; such a role holds no other level. A role may hold several levels. With '
    'a subject and level read, the role can read that subject only, through own_usage() and the other functions that begin with own_; it may be '
    'granted several subjects, but no level. Upgrades extend a grant to new functions of its level. Only the owner of the meter can call it. '
    'Raises 22004 for a null role or level, 22023 for an unknown role or level or if the role would hold both scoped and unrestricted access, '
    '42501 if the owner may not grant rights on the schema, 55000 while everybody may call functions (after a restore), 55P03 after '
    'lock_timeout. Example: SELECT meter.grant_access(''app'', ''write''); SELECT role, level, rights FROM meter.access() WHERE role = ''app'';';
