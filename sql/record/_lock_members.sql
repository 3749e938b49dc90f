-- Recorders look at members without locking them; who takes a member away excludes these. Few locks, however many series there are.
create or replace function _lock_members(series_ids integer[], exclusive boolean)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform case when exclusive then pg_advisory_xact_lock('unique_members'::regclass::oid::integer, n.number)
                 else pg_advisory_xact_lock_shared('unique_members'::regclass::oid::integer, n.number) end
    from (select distinct i.series_id % 64 as number from unnest(series_ids) i (series_id) order by 1) n;
end
$$;

comment on function _lock_members(integer[], boolean) is
    'Keeps the members of series from being taken away by others until the transaction ends; exclusive: to take some away.';
