-- After _lock_tables(), no other session reads or writes the log.
create or replace function _extend_log(months timestamptz[], stray_events bigint, also_locked text[])
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if stray_events > 0 then
        perform _build_default_partition(months);
    end if;
    perform _lock_tables('{events, events_default}' || also_locked, 'access exclusive');
    if stray_events = 0 and exists (select from events_default where _bucket_start('month', at) = any (months)) then
        perform _build_default_partition(months);
        stray_events := 1;
    end if;
    if stray_events > 0 then
        stray_events := greatest(_move_strays(months), stray_events);
    else
        perform _attach_partition(m.month) from unnest(months) m (month);
    end if;
    return query select 'created partition', _partition_name(m.month) from unnest(months) m (month) order by m.month;
    if stray_events > 0 then
        return next ('moved strays', case stray_events when 1 then '1 event' else format('%s events', stray_events) end)::maintenance_action;
    end if;
end
$$;

comment on function _extend_log(timestamptz[], bigint, text[]) is
    'Locks the log, its default partition and the tables in also_locked, then attaches the tables that _build_partition() has '
    'created. Moves stray events of these months into them. Returns what it did.';

create or replace function _build_default_partition(months timestamptz[])
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    create table events_next (like events including defaults including constraints including indexes);
    alter table events_next replica identity full;
    insert into events_next select * from events_default where _bucket_start('month', at) <> all (months);
    perform _close_relation('events_next');
    comment on table events_next is
        'Takes events of months that have no partition yet, so that none is ever refused; maintain() moves them on.';
end
$$;

comment on function _build_default_partition(timestamptz[]) is
    'Creates events_next, the log''s next default partition, with copies of the stray events that stay in it: those of other months '
    'than the given ones.';

-- Events are never deleted, so they are moved by copying: the default partition is replaced by a copy of the events that stay in it, and
-- the other events are copied to the partitions of their months. Nearly all of them are copied before the log is locked; only those
-- recorded meanwhile are copied here.
create or replace function _move_strays(months timestamptz[])
returns bigint
language plpgsql
volatile
set search_path from current
set enable_nestloop to off
as $$
declare
    v_copies text;
    v_late   events[];
    v_month  timestamptz;
    v_held   bigint;
    v_index  text;
begin
    alter table events detach partition events_default;
    alter table events_default rename to events_strays;
    v_held := _count_partition_events('events_strays');
    if v_held <> _count_copies(months) then
        select string_agg(format('select event_id from %I', n.name), ' union all ') into v_copies
        from (select 'events_next' union all select _partition_name(m.month) from unnest(months) m (month)) n (name);
        -- Not NOT IN: a list that is larger than work_mem would be read once for each event.
        execute format('select array(select s from events_strays s where not exists (select from (%s) c where c.event_id = s.event_id))', v_copies)
            into v_late;
        foreach v_month in array months loop
            execute format('insert into %I select * from unnest($1) where _bucket_start(''month'', at) = $2', _partition_name(v_month))
                using v_late, v_month;
        end loop;
        insert into events_next select * from unnest(v_late) where _bucket_start('month', at) <> all (months);
        if v_held <> _count_copies(months) then
            raise exception using errcode = 'XX001', message = 'not every stray event was moved',
                detail = format('%s of %s.', _count_copies(months), v_held), hint = 'Nothing was changed. Check for triggers on the events tables.';
        end if;
    end if;
    -- While there is no default partition, because attaching a partition searches the default one for its events.
    perform _attach_partition(m.month) from unnest(months) m (month);
    drop table events_strays;
    for v_index in select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = 'events_next'::regclass loop
        execute format('alter index %I rename to %I', v_index, replace(v_index, 'events_next', 'events_default'));
    end loop;
    alter table events_next rename to events_default;
    alter table events attach partition events_default default;
    perform _guard_partition('events_default');
    return v_held - _count_partition_events('events_default');
end
$$;

comment on function _move_strays(timestamptz[]) is
    'Replaces the default partition by the tables that _build_partition() and _build_default_partition() have created. Returns the '
    'number of events that were moved to a partition of their month.';

create or replace function _count_copies(months timestamptz[])
returns bigint
language sql
stable
set search_path from current
as $$
    select _count_partition_events('events_next') + coalesce(sum(_count_partition_events(_partition_name(m.month))), 0)::bigint
    from unnest(months) m (month)
$$;

comment on function _count_copies(timestamptz[]) is
    'Returns the number of events in the tables that will become the default partition and the partitions of these months.';
