-- Immutable, so that PostgreSQL asks it once for each plan, and recording pays nothing for it. Closed functions become open only by a
-- restore, which makes new functions, for which no session has a plan yet. Where it is true, _check_caller() decides at every call.
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

comment on function _is_open(text) is 'Whether everybody may call the function of that name, as after a restore without privileges.';
