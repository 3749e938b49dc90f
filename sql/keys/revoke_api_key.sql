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
    perform _check_home(v_before.subject);
    v_before := _get_api_key(revoke_api_key.key_id);
    update api_keys k set revoked_at = clock_timestamp() where k.key_id = revoke_api_key.key_id and k.revoked_at is null;
    v_after := _get_api_key(revoke_api_key.key_id);
    if v_after is distinct from v_before then
        perform _log_change('revoke_api_key', 'key ' || v_after.key_id, to_jsonb(v_before) - 'name', to_jsonb(v_after) - 'name');
    end if;
    return v_after;
end
$$;

comment on function revoke_api_key(bigint) is
    'Revokes a key: from the commit on, the key and tokens that were signed with it are refused. Revoking it again changes nothing. Returns the '
    'key without the secret. Raises UM007 for an unknown key, UM008 if its subject is not at home here, 22004 for a null. Example: BEGIN; '
    'SELECT k.name, k.revoked_at IS NOT NULL AS revoked FROM meter.create_api_key(''write'', name => ''worker'') n, '
    'meter.revoke_api_key(n.key_id) k; ROLLBACK;';
