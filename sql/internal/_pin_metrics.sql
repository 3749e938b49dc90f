-- A transaction with one snapshot for all its statements might otherwise record by a definition that has been changed since.
create or replace function _pin_metrics(metric_keys text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform from metrics where key = any (metric_keys) order by key for share;
end
$$;

comment on function _pin_metrics(text[]) is
    'Locks definitions against change until the transaction ends; raises 40001 if one has changed since its snapshot.';
