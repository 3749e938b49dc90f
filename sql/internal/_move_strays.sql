-- The log is never deleted from. The default partition is taken off, the partitions that its events need are created with copies of
-- them, and the table that held them is dropped: all in one transaction, with everybody else kept out by the caller's lock.
create or replace function _move_strays(months timestamptz[])
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
declare
    v_month   timestamptz;
    v_name    text;
    v_created timestamptz[] := '{}';
    v_held    bigint;
    v_moved   bigint := 0;
    v_count   bigint;
begin
    alter table events detach partition events_default;
    alter table events_default rename to events_strays;
    alter table events_strays rename constraint events_default_pkey to events_strays_pkey;
    create table events_default partition of events default;
    perform _guard_partition('events_default'), _close_relation('events_default');
    comment on table events_default is
        'Takes events of months that have no partition yet, so that none is ever refused; maintain() moves them on.';

    for v_month in
        select distinct _bucket_start('month', at) from events_strays
        union
        select unnest(months)
        order by 1
    loop
        v_name := _create_partition(v_month, 'events_strays');
        if v_name is not null then
            return next ('created partition', v_name)::maintenance_action;
            v_created := v_created || v_month;
            v_moved := v_moved + _count_events(v_name);
        end if;
    end loop;

    -- What has found no partition, because something else has taken its name, stays a stray.
    select count(*) into v_held from events_strays;
    insert into events select * from events_strays where _bucket_start('month', at) <> all (v_created);
    get diagnostics v_count = row_count;
    v_moved := v_moved + v_count;
    if v_moved <> v_held then
        raise exception using errcode = 'XX001', message = 'not every stray event was moved',
            detail = format('%s of %s.', v_moved, v_held), hint = 'Nothing was changed. Look at the triggers on events.';
    end if;
    drop table events_strays;
    return next ('moved strays', format('%s events', v_moved))::maintenance_action;
end
$$;

comment on function _move_strays(timestamptz[]) is
    'Moves the events of the default partition into partitions of their months; returns what it did.';
