-- A number is for ever: the ids that it has given tell where their rows are.
create or replace function set_shard(number integer, ids_above bigint default 0, slots text default null)
returns shard_state
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
declare
    v_shard   shard;
    v_highest bigint := case when not _is_open('set_shard') or _check_caller('set_shard') then coalesce(_highest_id(), 0) end;
begin
    if set_shard.number is null or set_shard.ids_above is null then
        raise exception using errcode = '22004', message = 'number or ids_above is null',
            column = case when set_shard.number is null then 'number' else 'ids_above' end,
            hint = 'Pass the number of the shard, 0 to 1023, and leave ids_above out for shards that all begin empty.';
    elsif set_shard.number not between 0 and 1023 then
        raise exception using errcode = '22023', message = 'number is not that of a shard', column = 'number',
            detail = format('number %s.', set_shard.number), hint = 'Use 0 to 1023, and each number once.';
    elsif set_shard.ids_above not between 0 and 1::bigint << 62 then
        raise exception using errcode = '22023', message = 'ids_above is negative or too large', column = 'ids_above',
            detail = format('ids_above %s.', set_shard.ids_above),
            hint = 'Use the highest_id that shard_state() returns of the oldest meter.';
    end if;
    perform _check_slots(set_shard.slots), _lock('maintain');  -- which aligns sequences, too
    select * into v_shard from shard;
    if v_shard.number is not null and (v_shard.number, v_shard.ids_above) <> (set_shard.number, set_shard.ids_above) then
        raise exception using errcode = '55000', message = 'the meter is another shard already', column = 'number',
            detail = format('It is shard %s with ids above %s.', v_shard.number, v_shard.ids_above),
            hint = 'A number is not changed: the ids that were drawn with it tell the shard. Use this number in the map.';
    elsif v_shard.number is null and v_highest > set_shard.ids_above then
        raise exception using errcode = '55000', message = 'the meter has ids that other shards may draw', column = 'ids_above',
            detail = format('Its highest id is %s, ids_above is %s.', v_highest, set_shard.ids_above),
            hint = format('If it is the only one of the shards that is not new, give all of them ids_above => %s. Otherwise use a new meter.',
                v_highest);
    elsif v_shard.slots <> set_shard.slots and v_highest > 0 then
        raise exception using errcode = '55000', message = 'the meter belongs to another map', column = 'slots',
            detail = format('Digest of its slots: %s.', v_shard.slots),
            hint = 'Subjects are where that map says. Use the file that pymeter shard init has written.';
    end if;
    insert into shard (number, ids_above, earlier_id)
    select set_shard.number, set_shard.ids_above, nullif(v_highest, 0) where v_shard.number is null;
    update shard s set slots = set_shard.slots where s.slots is distinct from set_shard.slots and set_shard.slots is not null;
    perform _align_sequences();
    return shard_state();
end
$$;

comment on function set_shard(integer, bigint, text) is
    'Makes this meter one of up to 1,024 shards, for ever: every id that its sequences draw from now on is above ids_above and equal to number '
    'modulo 1024. So ids are unique across the shards, tell their shard, and keep their order within it. ids_above: 0, the default, for shards that '
    'all begin empty; or the highest id of the one meter that has ids already, the same for all shards. slots: the digest of the slots of the map '
    'that it belongs to, 64 hexadecimal digits: SHA-256 of the numbers of the shards of slot 0 to 1023, joined by commas. A client with another map '
    'is refused by it. A repetition changes nothing. It waits up to 5 seconds for transactions that have drawn ids. Only the owner may call it. '
    'Returns the state of the shard. Raises 22004 or 22023 for a bad value, 55000 if the meter is another shard already, has ids above ids_above, '
    'or has ids and belongs to another map, 55P03 after waiting for a lock. Example: BEGIN; SELECT number, ids_above, problems FROM '
    'meter.set_shard(3, ids_above => 1000000); ROLLBACK;';
