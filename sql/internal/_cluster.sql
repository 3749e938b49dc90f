create or replace function _cluster()
returns bigint
language sql
stable
set search_path from current
as $$
    select system_identifier from pg_control_system()
$$;

comment on function _cluster() is 'The system identifier of this database cluster: another one after a dump is restored elsewhere.';
