create or replace function grant_access(role text, level text, subject text default null)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role      regrole := _access_role(grant_access.role);
    v_signature text;
    v_other     text;
begin
    if grant_access.level is null then
        raise exception using errcode = '22004', message = 'level is null', column = 'level',
            hint = 'Use read, write, report or admin.';
    end if;
    perform _check_level(grant_access.level, grant_access.subject);
    -- A bound role that also holds anything else could read every subject by it: record() tells a total, verify() names subjects.
    if grant_access.subject is not null then
        select l.function into v_other
        from _level_functions() l, _level_rights(l.level) r
        where l.level <> 'own' and has_function_privilege(v_role, r.oid, 'execute')
        limit 1;
    end if;
    if v_other is not null or grant_access.subject is null and exists (
        select from access_grants g where g.role = v_role and g.subject is not null) then
        raise exception using
            errcode = '22023', message = 'a role is either bound to subjects or not', column = 'subject',
            detail = format('role %s %s.', v_role, coalesce('may call functions that know of every subject', 'is bound to subjects')),
            hint = 'Use another role for it, or first: SELECT revoke_access(role). Rights may come from a membership.';
    end if;

    execute format('grant usage on schema %I to %s', current_schema(), v_role);
    for v_signature in
        select signature from _level_rights(case when grant_access.subject is null then grant_access.level else 'own' end)
    loop
        execute format('grant execute on function %s to %s', v_signature, v_role);
    end loop;
    insert into access_grants (role, level, subject) values (v_role, grant_access.level, grant_access.subject)
    on conflict (role, level, subject) do nothing;
end
$$;

comment on function grant_access(text, text, text) is
    'Lets a role call exactly the functions of a level (read, write, report or admin), and nothing else: no right on a table. A role may '
    'be given several levels. With a subject, level read: the role reads that subject alone, through own_usage() and its like; it may be '
    'given several subjects, and no other level. Upgrades extend it to new functions of the level. For the owner of the meter alone. '
    'Raises 22004 for null, 22023 for an unknown role or level, or a role that would be bound and unbound at once.';
