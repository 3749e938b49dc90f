-- Clients compute this too, so it is made of what every language has: the first two bytes of SHA-256, of which ten bits are used.
create or replace function shard_slot(shard_key text)
returns integer
language plpgsql
immutable parallel safe
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_digest bytea;
begin
    if _is_open('shard_slot') then perform _check_caller('shard_slot'); end if;
    perform _check_name('shard_key', shard_slot.shard_key, 512);
    v_digest := sha256(convert_to(shard_slot.shard_key, 'UTF8'));
    return (get_byte(v_digest, 0) * 256 + get_byte(v_digest, 1)) % 1024;
end
$$;

comment on function shard_slot(text) is
    'Returns the slot of a shard key, 0 to 1023: the first two bytes of the SHA-256 of its UTF-8, as a number, modulo 1024. The shard key is the '
    'subject. A map of shards says which shard has the slot, unless the subject is pinned to another. Raises 22004 for a null, 22023 for a '
    'key that is blank or longer than 512 characters. Example: SELECT meter.shard_slot(''acct_1'');';
