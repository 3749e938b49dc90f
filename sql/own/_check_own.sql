-- In a SECURITY DEFINER function current_user is the owner. The caller is the role chosen with SET ROLE (as PostgREST does for a request),
-- else session_user: a session can set neither to a role that it is not a member of. Every role that is not bound is refused. So a
-- function, index or trigger of a bound role that runs in another role's session learns nothing.
create or replace function _check_own(subject text)
returns void
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_role text := _session_role();
begin
    perform _check_name('subject', _check_own.subject), _check_here(_check_own.subject);
    if not exists (
        select from _grants() g
        join pg_roles r on r.oid = g.role
        where r.rolname = v_role and g.level = 'read' and g.subject = _check_own.subject
    ) and not _is_credential_for(v_role, _check_own.subject) then
        raise exception using
            errcode = '42501', message = 'this role is not bound to the subject', column = 'subject',
            detail = format('role %s, subject %s.', quote_literal(v_role), quote_literal(left(_check_own.subject, 80))),
            hint = 'The owner of the meter binds a role with SELECT grant_access(role, ''read'', subject).';
    end if;
end
$$;

comment on function _check_own(text) is
    'Raises 42501 unless the session''s role is bound to the subject; 22004 or 22023 for a null or blank subject.';

-- The setting is no secret of pymeter's: who knows a credential may use it.
create or replace function _is_credential_for(role text, subject text)
returns boolean
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_cluster bigint := _cluster();
begin
    return coalesce((_credential_holder(current_setting('pymeter.credential', true), clock_timestamp())).subject = _is_credential_for.subject, false)
        and exists (
            select from access_grants g join pg_roles r on r.oid = g.role
            where g.cluster = v_cluster and r.rolname = _is_credential_for.role and g.level = 'own' and g.subject is null);
end
$$;

comment on function _is_credential_for(text, text) is
    'Whether a role has the level own, and the transaction the credential of a key or token of the subject (authenticate()).';
