create or replace function authenticate(credential text)
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
    -- Not now(): a transaction that began before the key expired would extend it.
    v_holder := _credential_holder(authenticate.credential, clock_timestamp());
    if v_holder.key_id is null then
        raise exception using errcode = '28000', message = 'invalid key or token', column = 'credential',
            hint = 'It is unknown, was revoked or has expired. The owner of the meter creates keys with create_api_key().';
    end if;
    v_holder.role := _role_of_level(v_holder.level);
    perform _note_use(v_holder.key_id, clock_timestamp());
    -- For the transaction: _check_own() finds the subject by it.
    perform set_config('pymeter.credential', authenticate.credential, true);
    return v_holder;
end
$$;

comment on function authenticate(text) is
    'Returns the holder of a credential, and the role to take for the transaction, so that the database itself enforces what the key may do: '
    'BEGIN; SELECT role FROM authenticate(...); SET LOCAL ROLE ...; the calls; COMMIT. credential: the SHA-256 of a key in lower-case '
    'hexadecimal, so that no key reaches the database or its log; or a token that was signed with a key of level read: key_id, expiry (seconds '
    'since 1970), the subject (UTF-8, hexadecimal) and the HMAC-SHA256 of these three, joined by dots; its key is the hexadecimal SHA-256 of the '
    'credential. A token reads its subject, like a key that is bound to it. role is null if the session is a member of no role with just this '
    'level. For a role with the level login. Raises 28000 for a credential that is null, malformed, unknown, revoked or expired, UM008 if its '
    'key is bound to a subject that is not at home here. Example: BEGIN; SELECT a.name, a.level, a.subject FROM '
    'meter.create_api_key(''read'', ''acct_1'', name => ''portal'') k, meter.authenticate(encode(sha256(k.key::bytea), ''hex'')) a; ROLLBACK;';
