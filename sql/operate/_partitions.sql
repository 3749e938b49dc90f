-- A partition costs every read of the whole log a lock on it and on its index, and creating one costs time while the log is locked.
-- Wrong times must not buy hundreds of them: a log with 64 partitions gets more only for months within a year of now and for months of
-- 10,000 events. Months that retention is going to drop get one in any case, since a partition is what it drops.
create or replace function _due_months(keep interval default null)
returns table (month timestamptz, stray_events bigint)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_free_partitions bigint := 64 - (select count(*) from pg_inherits where inhparent = 'events'::regclass);
    v_horizon         timestamptz := (now() at time zone interval '0' - _due_months.keep) at time zone interval '0';
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

comment on function _due_months(interval) is
    'The months that are to get a partition, the first ones first: those of _missing_months(), those of stray events as far as they '
    'are recent, many, or few months in all, and those that ended before now() - keep; with how many stray events they have.';

-- Built beside the log, which is not locked for it. Strays are put into the table before it is a partition: to a server that follows
-- the log by logical replication they are then what they are, events that it has had.
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
    -- Not to_regclass(): it answers from a cache, which after a wait does not know yet what the other session created.
    if exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relname = v_name
    ) then
        return null;
    end if;
    execute format('create table %I (like events including defaults including constraints including indexes)', v_name);
    -- It spares the log a look at every event when the table becomes a partition.
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
    'Creates the table that is to be the log''s partition for the month that starts at an instant, with copies of its stray events; '
    'returns its name, or null if something has that name already.';

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
    -- A month that is known and had no partition has lost it, whoever dropped it: what comes now is not all there was.
    insert into log_months (month) values (_attach_partition.month)
    on conflict (month) do update set dropped = true, partitions = log_months.partitions + 1;
end
$$;

comment on function _attach_partition(timestamptz) is 'Makes the table that _build_partition() has created for a month a partition of the log.';

-- Not the session's way of writing a time: in some, a zone is written that is then read as another one.
create or replace function _partition_bounds(month timestamptz)
returns text[]
language sql
immutable parallel safe
as $$
    select array[to_char(month at time zone interval '0', 'YYYY-MM-DD "00:00:00+00"'),
                 to_char(month at time zone interval '0' + interval '1 month', 'YYYY-MM-DD "00:00:00+00"')]
$$;

comment on function _partition_bounds(timestamptz) is 'Since and until of the month that starts at an instant (UTC), as literals.';
