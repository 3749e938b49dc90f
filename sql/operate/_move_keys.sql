-- A key is moved in one transaction. A repeat of it meanwhile waits for that, as it does for a recorder, and finds the copy afterwards; new keys
-- do not wait. Transactions with an older snapshot might not see the copy, and are told by keys_moved. Two days: most repeats come within these,
-- and stay cheap.
create or replace function _move_keys(up_to_event bigint)
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
set enable_indexscan to off
set enable_bitmapscan to off
as $$
#variable_conflict use_column
declare
    v_moved bigint;
begin
    if (select count(*) from (select from keys where event_id <= _move_keys.up_to_event limit 100000) k) < 100000 then
        return;
    end if;
    perform _lock_tables('{keys_moved}', 'access exclusive');
    drop table keys_moved;
    create table keys_moved ();
    perform _close_relation('keys_moved');
    comment on table keys_moved is
        'Never has a row. maintain() replaces it when it moves keys, so that transactions with an older snapshot can tell.';
    with moved as (
        delete from keys where ctid = any (array(select ctid from keys where event_id <= _move_keys.up_to_event limit 1000000)) returning *
    ), copied as (
        insert into old_keys (event_id, at, digest, quantity, member)
        select event_id, at, digest, quantity, member from moved order by digest
        on conflict (digest) do nothing
    )
    select count(*) into v_moved from moved;
    return next ('moved keys', format('%s keys', v_moved))::maintenance_action;
    if v_moved = 1000000 then
        return next ('again', 'keys are left to move: run maintain() again')::maintenance_action;
    end if;
exception when lock_not_available then
    return next ('postponed keys', 'transactions with an older snapshot are recording')::maintenance_action;
end
$$;

comment on function _move_keys(bigint) is
    'Moves keys of events up to the given one from keys to old_keys: at most 1,000,000, and none if there are less than 100,000. Returns what it '
    'did, as rows of maintain().';

create or replace function _note_key_mark()
returns bigint
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_bound bigint := (select max(event_id) from key_marks where noted_at <= now() - interval '48 hours');
begin
    insert into key_marks (event_id, noted_at) select last_value, now() from event_ids where is_called on conflict do nothing;
    delete from key_marks where event_id < v_bound;
    return v_bound;
end
$$;

comment on function _note_key_mark() is
    'Notes how far event ids have come. Returns how far they had come two days ago or earlier; null if that is unknown.';
