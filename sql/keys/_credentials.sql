-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _credential(key text)
returns text
language sql
immutable parallel safe
as $$
    select encode(sha256(convert_to(key, 'UTF8')), 'hex')
$$;

comment on function _credential(text) is 'What a program sends instead of a key: its SHA-256, hexadecimal.';

-- A key of a subject that is not at home here may have been revoked where it is, also while it is still closing here: so it is refused where it
-- could not be revoked either.
-- A digest of a random key tells nothing about another one, so that looking it up in an index needs no constant time. A signature does.
create or replace function _credential_holder(credential text, at timestamptz)
returns authentication
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_key   api_keys;
    v_parts text[];
begin
    if credential ~ '^[0-9a-f]{64}$' then
        select * into v_key from api_keys k where k.digest = sha256(convert_to(credential, 'UTF8'));
        if _is_in_force(v_key, _credential_holder.at) then
            perform _refuse_moved(array[v_key.subject]);
            return (v_key.key_id, v_key.name, case when v_key.subject is null then v_key.level else 'own' end, v_key.subject, null::text,
                    v_key.expires_at);
        end if;
        return null;
    end if;
    v_parts := regexp_match(credential, '^([0-9]{1,18})\.([0-9]{1,11})\.((?:[0-9a-f]{2})+)\.([0-9a-f]{64})$');
    if v_parts is null then
        return null;
    end if;
    select * into v_key from api_keys k where k.key_id = v_parts[1]::bigint;
    if not _is_in_force(v_key, _credential_holder.at) or v_key.level <> 'read' or to_timestamp(v_parts[2]::bigint) <= _credential_holder.at
        or not _is_signed(v_key, v_parts) then
        return null;
    end if;
    perform _refuse_moved(array[v_key.subject]);
    return _token_holder(v_key, v_parts);
end
$$;

comment on function _credential_holder(text, timestamptz) is 'Who a credential is of at a time; null if it is not valid. The role is null. '
    'Raises UM008 if its key is bound to a subject that is not at home '
    'here.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_in_force(key api_keys, at timestamptz)
returns boolean
language sql
immutable parallel safe
as $$
    select key.key_id is not null and key.revoked_at is null and coalesce(key.expires_at > at, true)
$$;

comment on function _is_in_force(api_keys, timestamptz) is 'Whether a key is accepted at a time.';

-- Digests of both are compared, so that how long it takes tells nothing about the signature.
create or replace function _is_signed(key api_keys, parts text[])
returns boolean
language sql
immutable parallel safe
set search_path from current
as $$
    select sha256(_hmac(convert_to(encode(key.digest, 'hex'), 'UTF8'), convert_to(concat_ws('.', parts[1], parts[2], parts[3]), 'UTF8')))
        = sha256(decode(parts[4], 'hex'))
$$;

comment on function _is_signed(api_keys, text[]) is 'Whether the parts of a token, the last of which is the signature, were signed with a key.';

create or replace function _token_holder(key api_keys, parts text[])
returns authentication
language plpgsql
immutable
set search_path from current
as $$
declare
    v_subject text;
begin
    -- Not in the declaration, whose errors the handler below does not see.
    v_subject := convert_from(decode(parts[3], 'hex'), 'UTF8');
    if v_subject <> key.subject then
        return null;
    end if;
    return (key.key_id, key.name, 'own'::text, v_subject, null::text, least(key.expires_at, to_timestamp(parts[2]::bigint)));
exception when character_not_in_repertoire or untranslatable_character then
    return null;
end
$$;

comment on function _token_holder(api_keys, text[]) is
    'Who a signed token is of: its subject; null if the key is bound to another one, or the subject is no text.';

-- RFC 2104. PostgreSQL has SHA-256 itself, but HMAC only in an extension.
create or replace function _hmac(key bytea, message bytea)
returns bytea
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_key   bytea := case when length(key) > 64 then sha256(key) else key end;
    v_inner bytea;
    v_outer bytea;
begin
    v_key := v_key || decode(repeat('00', 64 - length(v_key)), 'hex');
    v_inner := v_key;
    v_outer := v_key;
    for n in 0 .. 63 loop
        v_inner := set_byte(v_inner, n, get_byte(v_key, n) # 54);
        v_outer := set_byte(v_outer, n, get_byte(v_key, n) # 92);
    end loop;
    return sha256(v_outer || sha256(v_inner || message));
end
$$;

comment on function _hmac(bytea, bytea) is 'HMAC-SHA256 (RFC 2104).';
