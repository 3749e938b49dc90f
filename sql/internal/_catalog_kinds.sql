-- Read in a block that is rolled back, so that no lock on the catalog is kept: define_metric() may wait for the catalog while it holds a lock
-- on the log, which maintain() asks for next.
create or replace function _catalog_kinds()
returns jsonb
language plpgsql
volatile
set search_path from current
as $$
declare
    v_kinds jsonb;
begin
    v_kinds := (select coalesce(jsonb_agg(jsonb_build_object('key', key, 'aggregate', aggregate, 'bucket', _kept_bucket(period))), '[]')
                from metrics);
    raise savepoint_exception;
exception when savepoint_exception then
    return v_kinds;
end
$$;

comment on function _catalog_kinds() is
    'Of every metric its key, aggregate and the kind of bucket whose dropped totals are kept, as a JSON array.';
