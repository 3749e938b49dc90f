create or replace function shard_state()
returns shard_state
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_shard shard;
begin
    if _is_open('shard_state') then perform _check_caller('shard_state'); end if;
    select * into v_shard from shard;
    return (v_shard.number, v_shard.ids_above, v_shard.joined_at, _highest_id(), v_shard.earlier_id, array(select _shard_problems()),
            v_shard.slots)::shard_state;
end
$$;

comment on function shard_state() is
    'Returns which shard this meter is: its number, or null for a meter of its own; the highest id that has been drawn, and that before it became a '
    'shard; and sequences whose next ids would not be those of the shard (a restore can do that; maintain() corrects it); and the digest of the '
    'slots of its map, as set_shard() was told it, by which a client finds that its map is another one. Example: SELECT number, problems FROM '
    'meter.shard_state();';
