-- Equal parts give an equal identifier, so a journal that has lost its end plans the same push again under the same identifier. Whatever
-- is sent is among the parts, so an identifier never stands for anything else.
create or replace function _push_identifier(variadic parts text[])
returns text
language sql
stable parallel safe
set search_path from current
as $$
    select 'pm_' || encode(_digest(parts::text), 'hex')::uuid
$$;

comment on function _push_identifier(text[]) is 'The identifier of a push: a digest of its parts.';
