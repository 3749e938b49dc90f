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
