-- lock_timeout: whoever asks for a lock on the log makes everybody behind it wait too, so it gives up soon and is run again later.
create or replace function maintain()
returns setof maintenance_action
language plpgsql
volatile
security definer
set search_path from current
set lock_timeout to '5s'
as $$
declare
    v_month     timestamptz;
    v_partition text;
begin
    -- One at a time; waiting for the other costs nothing, since there is then nothing left to do.
    perform pg_advisory_xact_lock(hashtextextended(format('%s maintain', current_schema()), 0));

    if exists (select from events_default) then
        return query select * from _move_strays();
    end if;
    for v_month in
        select generate_series(date_trunc('month', now() at time zone 'UTC'),
                               date_trunc('month', now() at time zone 'UTC') + interval '3 months', '1 month') at time zone 'UTC'
    loop
        v_partition := _create_partition(v_month);
        if v_partition is not null then
            return next ('created partition', v_partition)::maintenance_action;
        end if;
    end loop;
end
$$;

comment on function maintain() is
    'Creates the log''s partitions for this month and the next three, and moves events out of the default partition into partitions '
    'of their own. Returns what it did; again: nothing. Run it daily. Raises 55P03 if the log is locked for more than 5 seconds.';
