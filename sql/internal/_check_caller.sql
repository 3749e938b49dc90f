-- Who asks cannot be current_user, which is the owner here: see _check_own().
create or replace function _check_caller(function text)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role text := current_setting('role');
begin
    if v_role = 'none' then
        v_role := session_user;
    end if;
    if not _is_open(_check_caller.function) or pg_has_role(v_role, current_user, 'usage') or exists (
        select from _grants() g join _level_functions() l on l.level = g.functions
        where l.function = _check_caller.function and g.role is not null and pg_has_role(v_role, g.role, 'usage')
    ) then
        return true;
    end if;
    raise exception using
        errcode = '42501', message = 'the function is open to everybody, and this role was not granted it',
        detail = format('role %s, function %s.', quote_literal(v_role), _check_caller.function),
        hint = 'A restore has lost privileges. Run pymeter migrate as the owner of the meter; it sets them again.';
end
$$;

comment on function _check_caller(text) is
    'True if the function is closed, or the role of this session owns the meter or was granted the level of the function. Raises 42501 '
    'otherwise. Public functions ask it while _is_open().';
