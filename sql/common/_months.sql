create or replace function _partition_name(month timestamptz)
returns text
language sql
immutable parallel safe
as $$
    select to_char(month at time zone interval '0', '"events_"YYYY_MM')
$$;

comment on function _partition_name(timestamptz) is 'The name of the partition of events for the month (UTC) that contains an instant.';

-- Inlined: no SET, nothing outside pg_catalog.
create or replace function _overlaps_months(months timestamptz[], bucket_start timestamptz, bucket_end timestamptz)
returns boolean
language sql
immutable parallel safe
as $$
    select months <> '{}' and exists (
        select from unnest(months) m (month)
        where m.month < bucket_end and bucket_start < (m.month at time zone interval '0' + interval '1 month') at time zone interval '0')
$$;

comment on function _overlaps_months(timestamptz[], timestamptz, timestamptz) is
    'Whether [bucket_start, bucket_end) overlaps one of the months (UTC) that start at the given instants.';

-- to_regclass() and pg_partition_root() read the current catalog, not the snapshot. The caller has locked events, so the answer stays true.
-- The arguments name everything of the schema. Inlined: no SET, nothing outside pg_catalog.
create or replace function _is_dropped(dropped boolean, partition_name text, log regclass)
returns boolean
language sql
stable parallel safe
as $$
    select dropped or pg_partition_root(to_regclass(partition_name)) is distinct from log
$$;

comment on function _is_dropped(boolean, text, regclass) is
    'Whether the partition of a month in log_months is gone, dropped or detached by maintain() or by hand.';

-- The caller's snapshot may be older than a drop that it has waited for. So this locks events (by reading it) before it looks at
-- partitions.
create or replace function _dropped_months()
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from events where false;
    return query
    select m.month
    from log_months m
    where _is_dropped(m.dropped, _partition_name(m.month), 'events'::regclass);
end
$$;

comment on function _dropped_months() is
    'The months (their starts, UTC) whose partition was dropped, so that the log no longer explains their rollups.';

create or replace function _missing_months(now timestamptz)
returns setof timestamptz
language plpgsql
stable
set search_path from current
as $$
begin
    return query
    select m.month
    from generate_series(0, 3) as ahead
    cross join lateral (
        select (date_trunc('month', _missing_months.now at time zone interval '0') + make_interval(months => ahead)) at time zone interval '0'
    ) m (month)
    where _partition_name(m.month) not in (
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'events'::regclass)
    order by m.month;
end
$$;

comment on function _missing_months(timestamptz) is
    'The months (their starts, UTC) among the current and the next three that have no partition of events.';

create or replace function _count_partition_events(partition_name text)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
declare
    v_count bigint;
begin
    execute format('select count(*) from %I', partition_name) into v_count;
    return v_count;
end
$$;

comment on function _count_partition_events(text) is 'The number of events in a partition.';
