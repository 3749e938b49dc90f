-- From the lock on, nobody records and nobody reads the log.
create or replace function _extend_log(months timestamptz[], stray_events bigint, also_locked text[])
returns setof maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if stray_events > 0 then
        perform _build_default(months);
    end if;
    perform _lock_tables('{events, events_default}' || also_locked, 'access exclusive');
    if stray_events = 0 and exists (select from events_default where date_trunc('month', at, 'UTC') = any (months)) then
        perform _build_default(months);
        stray_events := 1;
    end if;
    if stray_events > 0 then
        stray_events := greatest(_move_strays(months), stray_events);
    else
        perform _attach_partition(m.month) from unnest(months) m (month);
    end if;
    return query select 'created partition', _partition_name(m.month) from unnest(months) m (month) order by m.month;
    if stray_events > 0 then
        return next ('moved strays', format('%s events', stray_events))::maintenance_action;
    end if;
end
$$;

comment on function _extend_log(timestamptz[], bigint, text[]) is
    'Locks the log and these tables, and makes the tables of _build_partition() partitions of the log; returns what it did.';
