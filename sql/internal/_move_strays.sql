-- The log is never deleted from. The default partition is replaced by a copy of what stays in it, and the events of the months that got
-- partitions are copied there. Nearly all is copied while others record; with the log locked, what they have added since.
create or replace function _move_strays(months timestamptz[])
returns bigint
language plpgsql
volatile
set search_path from current
as $$
declare
    v_copies text;
    v_late   events[];
    v_month  timestamptz;
    v_held   bigint;
begin
    alter table events detach partition events_default;
    alter table events_default rename to events_strays;
    alter table events_strays rename constraint events_default_pkey to events_strays_pkey;
    v_held := _count_events('events_strays');
    if v_held <> _count_copies(months) then
        select string_agg(format('select event_id from %I', n.name), ' union all ') into v_copies
        from (select 'events_next' union all select _partition_name(m.month) from unnest(months) m (month)) n (name);
        execute format('select array(select s from events_strays s where s.event_id not in (%s))', v_copies) into v_late;
        foreach v_month in array months loop
            execute format('insert into %I select * from unnest($1) where _bucket_start(''month'', at) = $2', _partition_name(v_month))
                using v_late, v_month;
        end loop;
        insert into events_next select * from unnest(v_late) where _bucket_start('month', at) <> all (months);
        if v_held <> _count_copies(months) then
            raise exception using errcode = 'XX001', message = 'not every stray event was moved',
                detail = format('%s of %s.', _count_copies(months), v_held), hint = 'Nothing was changed. Look at the triggers on events.';
        end if;
    end if;
    -- Without a default partition, which would be searched for events of each month.
    perform _attach_partition(m.month) from unnest(months) m (month);
    drop table events_strays;
    alter table events_next rename to events_default;
    alter table events_default rename constraint events_next_pkey to events_default_pkey;
    alter table events attach partition events_default default;
    perform _guard_partition('events_default');
    return v_held - _count_events('events_default');
end
$$;

comment on function _move_strays(timestamptz[]) is
    'Replaces the default partition by the tables that _build_partition() and _build_default() have made; returns how many events have '
    'got a partition of their month.';
