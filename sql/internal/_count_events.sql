create or replace function _count_events(partition_name text)
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

comment on function _count_events(text) is 'How many events a partition of the log holds.';
