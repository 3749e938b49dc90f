create or replace function revoke_api_key(key_id bigint)
returns api_key
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_before api_key;
    v_after  api_key;
begin
    if _is_open('revoke_api_key') then perform _check_caller('revoke_api_key'); end if;
    if revoke_api_key.key_id is null then
        raise exception using errcode = '22004', message = 'key_id is null', column = 'key_id', hint = 'Pass the key_id of a row of api_keys().';
    end if;
    v_before := _get_api_key(revoke_api_key.key_id);
    update api_keys k set revoked_at = clock_timestamp() where k.key_id = revoke_api_key.key_id and k.revoked_at is null;
    v_after := _get_api_key(revoke_api_key.key_id);
    if v_after is distinct from v_before then
        perform _log_change('revoke_api_key', v_after.name, to_jsonb(v_before), to_jsonb(v_after));
    end if;
    return v_after;
end
$$;

comment on function revoke_api_key(bigint) is
    'Revokes a key: from the commit on, requests with it are refused, and with tokens that were signed with it. A repetition changes nothing. Returns the '
    'key. Raises UM007 for an unknown key, 22004 for a null. Example: BEGIN; SELECT k.name, k.revoked_at IS NOT NULL AS revoked FROM '
    'meter.create_api_key(''write'', name => ''worker'') n, meter.revoke_api_key(n.key_id) k; ROLLBACK;';

create or replace function _get_api_key(key_id bigint)
returns api_key
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_key api_keys;
begin
    select * into v_key from api_keys k where k.key_id = _get_api_key.key_id;
    if not found then
        raise exception using errcode = 'UM007', message = 'no such key', column = 'key_id', detail = format('key_id %s.', _get_api_key.key_id),
            hint = 'api_keys() lists them.';
    end if;
    return _as_api_key(v_key);
end
$$;

comment on function _get_api_key(bigint) is 'A key. Raises UM007 for an unknown one.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _as_api_key(key api_keys)
returns api_key
language sql
immutable parallel safe
as $$
    select row(key.key_id, key.name, key.level, key.subject, key.created_at, key.created_by, key.expires_at, key.revoked_at, key.last_used_at)
$$;

comment on function _as_api_key(api_keys) is 'A row of api_keys as public functions return it, without the digest.';
