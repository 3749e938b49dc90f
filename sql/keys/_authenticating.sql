-- Of the roles that have just this level, one that the session may take. Not by _grants(), which every request would wait for: the grants of a
-- restore count once migrate has mapped them.
create or replace function _role_of_level(level text)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_cluster bigint := _cluster();
begin
    return (
        select r.rolname
        from access_grants g join pg_roles r on r.oid = g.role
        where g.cluster = v_cluster and g.subject is null and g.level = _role_of_level.level and pg_has_role(session_user, r.oid, 'member')
          and not exists (
              select from access_grants o
              where o.cluster = v_cluster and o.role = g.role and (o.level, o.subject) is distinct from (g.level, null::text))
        order by r.rolname collate "C"
        limit 1);
end
$$;

comment on function _role_of_level(text) is
    'A role that was granted just this level, and that the session may take with SET ROLE; null if there is none.';

-- Not at each request: reading would write then. Who is locked was used just now.
create or replace function _note_use(key_id bigint, at timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if current_setting('transaction_read_only') = 'on' then
        return;
    end if;
    update api_keys k set last_used_at = _note_use.at
    where k.key_id = (
        select o.key_id from api_keys o
        where o.key_id = _note_use.key_id and (o.last_used_at is null or o.last_used_at <= _note_use.at - interval '1 minute')
        for no key update skip locked);
end
$$;

comment on function _note_use(bigint, timestamptz) is 'Notes that a key was used, at most once a minute.';
