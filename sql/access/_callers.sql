-- Declared immutable so that PostgreSQL evaluates it once for each plan and recording pays nothing. That is safe: only a restore opens a
-- function to everybody, and a restore creates new functions, for which no session has a plan. While it is true, _check_caller() decides
-- at every call.
create or replace function _is_open(function text)
returns boolean
language plpgsql
immutable
set search_path from current
as $$
begin
    return exists (
        select from pg_proc p
        where p.proname = _is_open.function and p.pronamespace = quote_ident(current_schema())::regnamespace
          and has_function_privilege('public', p.oid, 'execute'));
end
$$;

comment on function _is_open(text) is
    'Returns whether everybody may call the function of that name, as after a restore without privileges.';

-- current_user is the owner in a SECURITY DEFINER function, so the role is taken from the session: see _check_own().
create or replace function _check_caller(function text)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role text := _session_role();
begin
    if not _is_open(_check_caller.function) or pg_has_role(v_role, current_user, 'usage') or exists (
        select from _grants() g join _level_functions() l on l.level = g.functions
        where l.function = _check_caller.function and g.role is not null and pg_has_role(v_role, g.role, 'usage')
    ) then
        return true;
    end if;
    raise exception using
        errcode = '42501', message = 'everybody may call this function, but this role was not granted its level',
        detail = format('role %s, function %s.', quote_literal(v_role), _check_caller.function),
        hint = 'A restore has lost privileges. Run pymeter migrate as the owner of the meter to restore them.';
end
$$;

comment on function _check_caller(text) is
    'Returns true if the function is not open to everybody, or if the session''s role owns the meter or was granted the level of the '
    'function. Raises 42501 otherwise. Public functions call it while _is_open().';

create or replace function _open_functions()
returns table (oid oid, signature text)
language sql
stable
set search_path from current
as $$
    select o.oid, o.signature
    from _meter_objects() o
    where o.kind = 'function' and exists (select from aclexplode(o.acl) a where a.grantee = 0)
$$;

comment on function _open_functions() is
    'Returns the functions that everybody may call. There are none, unless a dump was restored without some or all of its privileges.';

create or replace function _check_rights()
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_open bigint := (select count(*) from _open_functions());
begin
    if v_open > 0 then
        raise exception using
            errcode = '55000', message = 'everybody may call functions of the meter', detail = format('%s functions.', v_open),
            hint = 'A restore has lost privileges. Run pymeter migrate as the owner of the meter to restore them.';
    end if;
end
$$;

comment on function _check_rights() is
    'Raises 55000 while everybody may call functions: USAGE on the schema would then give a role access to all of them.';

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

comment on function _rights_problems() is 'Returns the problems with rights on the meter that health() reports.';
