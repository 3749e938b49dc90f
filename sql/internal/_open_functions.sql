create or replace function _open_functions()
returns table (oid oid, signature text)
language sql
stable
set search_path from current
as $$
    select o.oid, o.signature
    from _own_objects() o
    where o.kind = 'function' and exists (select from aclexplode(o.acl) a where a.grantee = 0)
$$;

comment on function _open_functions() is
    'The functions that everybody may call. There are none, unless the dump was restored without its privileges, or with some of them.';
