create or replace function authenticate(credential text, now timestamptz default now())
returns authentication
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_holder authentication;
begin
    if _is_open('authenticate') then perform _check_caller('authenticate'); end if;
    v_holder := _credential_holder(authenticate.credential, coalesce(authenticate.now, now()));
    if v_holder.key_id is null then
        raise exception using errcode = '28000', message = 'the key or token is not valid', column = 'credential',
            hint = 'It is unknown, was revoked, or has expired. The owner of the meter makes keys with create_api_key().';
    end if;
    v_holder.role := _role_of_level(v_holder.level);
    perform _note_use(v_holder.key_id, clock_timestamp());
    -- For the transaction: _check_own() finds the subject by it.
    perform set_config('pymeter.credential', authenticate.credential, true);
    return v_holder;
end
$$;

comment on function authenticate(text, timestamptz) is
    'Says who a credential is of, and which role to take for the transaction, so that the database itself enforces what the key may do: BEGIN; SELECT role '
    'FROM authenticate(...); SET LOCAL ROLE ...; the calls; COMMIT. credential: the SHA-256 of a key, in lower-case hexadecimal, so that no key '
    'reaches the database or its log; or a token that was signed with a key: its id, a time (seconds since 1970), the subject in hexadecimal and '
    'the HMAC-SHA256 of these three, joined by dots, under the hexadecimal SHA-256 of the credential. A token reads its subject, as a key does that '
    'is bound to it. For a role with the level login. Raises 28000 for a credential that is unknown, revoked or expired. Example: BEGIN; SELECT '
    'a.name, a.level, a.subject FROM meter.create_api_key(''read'', ''acct_1'', name => ''portal'') k, '
    'meter.authenticate(encode(sha256(k.key::bytea), ''hex'')) a; ROLLBACK;';

-- Of the roles that have just this level, one that the session may take.
create or replace function _role_of_level(level text)
returns text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return (
        select g.role_name
        from _grants() g
        where g.role is not null and g.subject is null and g.level = _role_of_level.level and pg_has_role(session_user, g.role, 'member')
          and not exists (select from _grants() o where o.role = g.role and (o.level, o.subject) is distinct from (g.level, null::text))
        order by g.role_name collate "C"
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
