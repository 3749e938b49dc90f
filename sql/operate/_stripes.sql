-- In a block that is rolled back, as _catalog_kinds() is.
create or replace function _once_striped()
returns tid[]
language plpgsql
volatile
set search_path from current
as $$
declare
    v_places tid[];
begin
    v_places := array(select ctid from metrics where may_have_stripes and not striped);
    raise savepoint_exception;
exception when savepoint_exception then
    return v_places;
end
$$;

comment on function _once_striped() is 'The metrics (the places of their rows) that were striped and may have stripes left.';

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

-- A transaction that has read the catalog holds a lock on it until it ends. One that was running when striped was turned off may still
-- write a stripe: while one of those is left, nothing is changed, and the next maintain() tries again.
create or replace function _forget_stripes(places tid[], readers text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if places = '{}' or readers && _catalog_readers() then
        return;
    end if;
    -- Not waiting: maintain() may have locked the log, for which who changes the catalog may be waiting.
    lock table metrics in row exclusive mode nowait;
    update metrics m set may_have_stripes = false
    where m.ctid in (select ctid from metrics where ctid = any (places) for no key update skip locked)
      and not exists (select from rollups r where r.metric = m.key and r.stripe > 0);
exception when lock_not_available then
    return;
end
$$;

comment on function _forget_stripes(tid[], text[]) is
    'Notes of metrics that are no longer striped (their rows'' places) that they have no stripes left, unless one of the transactions that '
    'had read the catalog by then is still running.';
