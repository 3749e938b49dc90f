create or replace function _discard_totals(month timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_part bigint := (select totals_kept + 1 from log_months m where m.month = _discard_totals.month);
begin
    delete from dropped_rollups d where d.month = _discard_totals.month and d.part = v_part;
    delete from dropped_members d where d.month = _discard_totals.month and d.part = v_part;
end
$$;

comment on function _discard_totals(timestamptz) is
    'Deletes what _keep_totals() wrote for a month whose partition is not dropped after all.';
