create or replace function api_keys()
returns setof api_key
language sql
stable
security definer
set search_path from current
as $$
    select _as_api_key(k) from api_keys k
    where (not _is_open('api_keys') or _check_caller('api_keys')) and ((select _all_here()) or _is_here(k.subject))
    order by k.key_id
$$;

comment on function api_keys() is
    'Returns all keys of programs that speak HTTP in the order of key_id, including expired and revoked ones. The keys themselves are not '
    'stored. Example: BEGIN; SELECT key_id > 0 AS made FROM meter.create_api_key(''read'', name => ''dashboard''); SELECT name, level, subject, '
    'last_used_at FROM meter.api_keys() WHERE name = ''dashboard''; ROLLBACK;';
