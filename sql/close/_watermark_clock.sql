-- Who defines a new metric may record for it before anybody else knows of it. The lock is given up at once: what is recorded for metrics that come
-- later gets a later time.
create or replace function _clock_between_metrics(known bigint)
returns timestamptz
language plpgsql
volatile
set search_path from current
as $$
declare
    v_now timestamptz;
begin
    perform _lock('new metric');
    if known = (select count(*) from metrics) then
        v_now := clock_timestamp();
    end if;
    raise savepoint_exception;
exception when savepoint_exception then
    return v_now;
end
$$;

comment on function _clock_between_metrics(bigint) is
    'The clock, read while no transaction that defines a new metric is open; null if there are more metrics than are known. Raises 55P03 after '
    'lock_timeout.';
