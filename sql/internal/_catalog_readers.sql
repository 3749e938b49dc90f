create or replace function _catalog_readers()
returns text[]
language sql
volatile
set search_path from current
as $$
    select coalesce(array_agg(distinct l.virtualtransaction), '{}')
    from pg_locks l
    where l.locktype = 'relation' and l.relation = 'metrics'::regclass
      and l.database = (select oid from pg_database where datname = current_database())
      and l.pid is distinct from pg_backend_pid()
$$;

comment on function _catalog_readers() is 'The other transactions that have read, or changed, the catalog and have not ended.';
