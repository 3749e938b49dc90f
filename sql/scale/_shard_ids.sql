-- Sequences of integer number rows that no other meter and no caller ever sees: their ids stay as they are. Identity columns of later
-- migrations have sequences too, of which only the table is registered.
create or replace function _id_sequences()
returns table (name text, last_id bigint, first_id bigint, step bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select c.relname::text, pg_sequence_last_value(c.oid::regclass), q.seqstart, q.seqincrement
        from pg_class c
        join pg_sequence q on q.seqrelid = c.oid and q.seqtypid = 'bigint'::regtype
        where c.relnamespace = quote_ident(current_schema())::regnamespace and (
            c.relname in (select o.name from installed_objects o where o.kind = 'relation')
            or exists (
                select from pg_depend d
                join pg_class t on t.oid = d.refobjid
                join installed_objects o on o.kind = 'relation' and o.name = t.relname
                where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
                  and d.deptype in ('a', 'i') and t.relnamespace = c.relnamespace))
        order by c.relname collate "C";
end
$$;

comment on function _id_sequences() is
    'Returns the meter''s sequences of bigint: the id drawn last (null: none since the sequence was started), where it started, and its increment.';

create or replace function _misaligned_sequences()
returns table (name text, first_id bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
        select i.name, b.above + 1 + ((s.number - (b.above + 1)) % 1024 + 1024) % 1024
        from shard s
        cross join _id_sequences() i
        cross join lateral (select greatest(coalesce(i.last_id, i.first_id - 1), s.ids_above) as above) b
        where i.step <> 1024 or i.first_id % 1024 <> s.number or coalesce(i.last_id, i.first_id) % 1024 <> s.number
           or coalesce(i.last_id, i.first_id) <= s.ids_above;
end
$$;

comment on function _misaligned_sequences() is
    'Returns the sequences whose next ids would not be those of this shard, and the first id to continue them with. No row in a meter of its own.';

-- RESTART is undone by a rollback, which setval() is not. ALTER SEQUENCE waits for the transactions that have drawn from the sequence, and lets
-- nobody draw until it is committed; so what every event needs is altered last.
create or replace function _alter_sequences()
returns text[]
language plpgsql
volatile
set search_path from current
as $$
declare
    v_sequence record;
    v_altered  text[] := '{}';
begin
    for v_sequence in select * from _misaligned_sequences() order by name = 'event_ids', name loop
        execute format('alter sequence %I increment by 1024 start with %s restart', v_sequence.name, v_sequence.first_id);
        v_altered := v_altered || v_sequence.name;
    end loop;
    return v_altered;
end
$$;

comment on function _alter_sequences() is
    'Makes the sequences draw the ids of this shard, above those that they have drawn, and returns the names of those that did not.';

-- As _lock_tables(): an open transaction that has drawn an id must not stop those that record.
create or replace function _align_sequences()
returns setof text
language plpgsql
volatile
set search_path from current
set lock_timeout to '50ms'
as $$
declare
    v_give_up timestamptz := clock_timestamp() + interval '5 seconds';
    v_millis  int := 50;
begin
    loop
        begin
            return query select unnest(_alter_sequences());
            return;
        exception when lock_not_available or deadlock_detected then
            null;
        end;
        exit when clock_timestamp() > v_give_up;
        perform pg_sleep_for('150 ms');
        v_millis := least(v_millis * 2, 250);
        perform set_config('lock_timeout', v_millis || 'ms', true);
    end loop;
    perform _raise_in_use(array(select name from _misaligned_sequences()), '{}');
end
$$;

comment on function _align_sequences() is
    'Makes the sequences draw the ids of this shard, and returns the names of those that did not, without blocking others for more than a quarter '
    'of a second at a time. Raises 55P03 if it does not have all locks after 5 seconds.';

create or replace function _highest_id()
returns bigint
language sql
stable
set search_path from current
as $$
    select max(last_id) from _id_sequences()
$$;

comment on function _highest_id() is 'The highest id that a sequence of bigint has drawn; null if none has.';

create or replace function _shard_problems()
returns setof text
language plpgsql
stable
set search_path from current
as $$
begin
    if exists (select from shard) then
        return query select format('%s draws ids of other shards: run maintain()', name) from _misaligned_sequences();
    end if;
end
$$;

comment on function _shard_problems() is 'Returns a text for each sequence whose next ids would not be those of this shard.';

create or replace function _check_slots(slots text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if slots !~ '^[0-9a-f]{64}$' then
        raise exception using errcode = '22023', message = 'slots is no digest', column = 'slots',
            detail = format('slots %s.', quote_literal(left(slots, 80))), hint = 'Use 64 lower-case hexadecimal digits, or leave it out.';
    end if;
end
$$;

comment on function _check_slots(text) is 'Raises 22023 for a text that is not the digest of the slots of a map.';
