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
