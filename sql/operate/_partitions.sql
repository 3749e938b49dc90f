-- Every read of the whole log locks each partition and its index, and the log is locked while a partition is attached. So events with wrong
-- times must not create hundreds of partitions: a log with 64 partitions gets more only for months within a year of now and for months
-- with 10,000 events. Months that retention will drop always get one, because it drops partitions.
create or replace function _months_to_create(keep interval default null)
returns table (month timestamptz, stray_events bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_free_partitions bigint := 64 - (select count(*) from pg_inherits where inhparent = 'events'::regclass);
    v_horizon         timestamptz := (now() at time zone interval '0' - _months_to_create.keep) at time zone interval '0';
begin
    return query
    with strays as (
        select _bucket_start('month', at) as month, count(*) as stray_events
        from events_default
        group by 1
    ), ranked as (
        select *, s.month > now() - interval '1 year' and s.month < now() + interval '1 year' as is_recent,
               row_number() over (order by stray_events desc, s.month) as place
        from strays s
    )
    select coalesce(r.month, n.month), coalesce(stray_events, 0)
    from ranked r
    full join _missing_months(now()) n (month) using (month)
    where n.month is not null or is_recent or place <= v_free_partitions or stray_events >= 10000
       or _bucket_end('month', r.month) <= v_horizon
    order by n.month is null, place;
end
$$;

comment on function _months_to_create(interval) is
    'Returns the months that need a partition, the most urgent first, with the number of their stray events: those of '
    '_missing_months(); months of stray events that are recent, have many events, or fit into 64 partitions; and months that ended '
    'before now() - keep.';

-- Creates a separate table, so that the log is not locked. Stray events are copied into it before it becomes a partition, so that logical
-- replication of the log does not send them again.
create or replace function _build_partition(month timestamptz, stray_events bigint)
returns text
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_name   text := _partition_name(month);
    v_bounds text[] := _partition_bounds(month);
begin
    -- Not to_regclass(): after waiting for a lock, its cache may not contain yet what the other session has created.
    if exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relname = v_name
    ) then
        return null;
    end if;
    execute format('create table %I (like events including defaults including constraints including indexes)', v_name);
    -- Not inherited: what a subscriber of a publication knows a row by that is moved to another month.
    execute format('alter table %I replica identity full', v_name);
    -- With this constraint, attaching the table does not scan its events.
    execute format('alter table %I add constraint at_is_of_the_month check (at >= %L and at < %L)', v_name, v_bounds[1], v_bounds[2]);
    if stray_events > 0 then
        execute format('insert into %I select * from events_default where at >= %L and at < %L', v_name, v_bounds[1], v_bounds[2]);
    end if;
    perform _close_relation(v_name);
    execute format('comment on table %I is %L', v_name,
        format('Events of %s (UTC).', to_char(month at time zone interval '0', 'YYYY-MM')));
    return v_name;
end
$$;

comment on function _build_partition(timestamptz, bigint) is
    'Creates the table that will become the log''s partition for a month, with copies of the month''s stray events. Returns its name, '
    'or null if the name exists already.';

-- The caller has locked the log.
create or replace function _attach_partition(month timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_name   text := _partition_name(month);
    v_bounds text[] := _partition_bounds(month);
begin
    execute format('alter table events attach partition %I for values from (%L) to (%L)', v_name, v_bounds[1], v_bounds[2]);
    execute format('alter table %I drop constraint at_is_of_the_month', v_name);
    perform _guard_partition(v_name);
    -- If the month is known, its earlier partition was dropped, by maintain() or by hand: the new one does not have all of its events.
    insert into log_months (month) values (_attach_partition.month)
    on conflict (month) do update set dropped = true, partitions = log_months.partitions + 1;
end
$$;

comment on function _attach_partition(timestamptz) is
    'Attaches the table that _build_partition() has created for a month as a partition of the log.';

-- Independent of the session's DateStyle and time zone: some of them print a zone abbreviation that is read as another zone.
create or replace function _partition_bounds(month timestamptz)
returns text[]
language sql
immutable parallel safe
as $$
    select array[to_char(month at time zone interval '0', 'YYYY-MM-DD "00:00:00+00"'),
                 to_char(month at time zone interval '0' + interval '1 month', 'YYYY-MM-DD "00:00:00+00"')]
$$;

comment on function _partition_bounds(timestamptz) is
    'Returns the start and the end of the month (UTC) that starts at an instant, as literals.';
