create or replace function create_api_key(
    level text,
    subject text default null,
    expires_at timestamptz default null,
    name text default null
)
returns new_api_key
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_id  bigint;
    v_key text;
begin
    if _is_open('create_api_key') then perform _check_caller('create_api_key'); end if;
    perform _check_word('level', create_api_key.level, '{read,write,report,admin,approve}'),
        _check_level(create_api_key.level, create_api_key.subject), _check_time('expires_at', create_api_key.expires_at),
        _check_home(create_api_key.subject);
    if create_api_key.name is not null then
        perform _check_name('name', create_api_key.name, 100);
    end if;
    if create_api_key.expires_at <= now() then
        raise exception using errcode = '22023', message = 'expires_at has passed', column = 'expires_at',
            detail = format('expires_at %s.', create_api_key.expires_at at time zone interval '0'),
            hint = 'Pass a time to come, or null for a key that does not expire.';
    end if;
    v_id := nextval('api_key_ids');
    -- Two random UUIDs have 244 random bits: no key can be guessed, so a fast digest is enough.
    v_key := format('pm_live_%s_%s', v_id, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));
    insert into api_keys (key_id, expires_at, name, level, subject, created_by, digest)
    values (v_id, create_api_key.expires_at, coalesce(create_api_key.name, 'key ' || v_id), create_api_key.level, create_api_key.subject,
            _session_role(), sha256(convert_to(_credential(v_key), 'UTF8')));
    -- Without the name, which may be about a person: erase_subject() keeps the log.
    perform _log_change('create_api_key', 'key ' || v_id, null, (select to_jsonb(_as_api_key(k)) - 'name' from api_keys k where k.key_id = v_id));
    return (select (v_id, v_key, k.name, k.level, k.subject, k.expires_at)::new_api_key from api_keys k where k.key_id = v_id);
end
$$;

comment on function create_api_key(text, text, timestamptz, text) is
    'Creates a key for a program that speaks HTTP. The key is returned only once: the database stores a digest. level: read, write, report, '
    'admin or approve, as for grant_access(). subject: with level read, the key reads this subject only, through the functions that begin with '
    'own_. expires_at: the time from which the key is refused; null: never. name: a label of at most 100 characters, by default the word key and '
    'its number. Only the owner of the meter can call it. Raises 22004 or 22023 for a null or bad value, UM008 for a subject that is on another '
    'shard or being moved. Example: BEGIN; SELECT name, level, '
    'subject, left(key, 8) AS begins FROM meter.create_api_key(''read'', ''acct_1'', name => ''dashboard''); ROLLBACK;';
