create or replace function _access_role(role text)
returns regrole
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role oid;
begin
    if _access_role.role is null then
        raise exception using errcode = '22004', message = 'role is null', column = 'role', hint = 'Name a role of this server.';
    end if;
    select oid into v_role from pg_roles where rolname = _access_role.role;
    if v_role is null then
        raise exception using
            errcode = '22023', message = 'there is no such role', column = 'role',
            detail = format('role %s.', quote_literal(left(_access_role.role, 80))),
            hint = 'Create it first; the name is taken as it is, in upper and lower case. PUBLIC is no role: access is granted to known ones.';
    elsif _access_role.role = current_user then
        raise exception using
            errcode = '22023', message = 'the role owns the meter', column = 'role',
            detail = format('role %s.', quote_literal(left(_access_role.role, 80))),
            hint = 'The owner may do everything anyway. Let applications connect as another role.';
    end if;
    -- GRANT and CREATE OR REPLACE of one function at once would end in "tuple concurrently updated"; installers hold this lock.
    begin
        lock table yoyo_lock in share row exclusive mode;
    exception when lock_not_available then
        perform _raise_busy('rights');
    end;
    return v_role;
end
$$;

comment on function _access_role(text) is
    'The role of that name, whose access is going to change; one change at a time. Raises 22004 for null, 22023 for no role or the owner.';
