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
