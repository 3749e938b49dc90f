-- Reads the catalog in a block that is rolled back, as _metric_kinds() does.
create or replace function _formerly_striped_metrics()
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

comment on function _formerly_striped_metrics() is
    'Returns the metrics that are no longer striped and may have stripes left, as the ctid of their rows.';

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

comment on function _catalog_readers() is 'Returns the other transactions in progress that have read or changed the catalog.';

-- A transaction that has read the catalog holds a lock on it until it ends. If it read the catalog while the metric was still striped, it may
-- still write a stripe. While such a transaction runs, nothing is changed; the next maintain() tries again.
create or replace function _mark_unstriped_metrics(places tid[], readers text[])
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
    -- NOWAIT avoids a deadlock: maintain() may hold a lock on the log, and a session that changes the catalog may wait for that.
    lock table metrics in row exclusive mode nowait;
    update metrics m set may_have_stripes = false
    where m.ctid in (select ctid from metrics where ctid = any (places) for no key update skip locked)
      and not exists (select from rollups r where r.metric = m.key and r.stripe > 0);
exception when lock_not_available then
    return;
end
$$;

comment on function _mark_unstriped_metrics(tid[], text[]) is
    'Sets may_have_stripes to false for metrics (places: the ctid of their rows) that have no stripes left. Does nothing while one of '
    'the transactions in readers is still running.';
