-- Who asks cannot be current_user, which is the owner here. It is the role chosen with SET ROLE (as PostgREST does for a request), else
-- the one that logged in: neither can be set to a role that the session may not be. Whoever is not bound is refused, so a function,
-- index or trigger of a bound role that somebody else's session runs learns nothing either.
create or replace function _check_own(subject text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role text := current_setting('role');
begin
    perform _check_subject(_check_own.subject);
    if v_role = 'none' then
        v_role := session_user;
    end if;
    if not exists (
        select from _grants() g
        join pg_roles r on r.oid = g.role
        where r.rolname = v_role and g.level = 'read' and g.subject = _check_own.subject
    ) then
        raise exception using
            errcode = '42501', message = 'the subject is not one that this role is bound to', column = 'subject',
            detail = format('role %s, subject %s.', quote_literal(v_role), quote_literal(left(_check_own.subject, 80))),
            hint = 'The owner binds a role: SELECT grant_access(role, ''read'', subject).';
    end if;
end
$$;

comment on function _check_own(text) is
    'Refuses (42501) a subject that the role of this session is not bound to; 22004 or 22023 for a null or blank one.';
