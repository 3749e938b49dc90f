create or replace function _expire_month(verdict month_verdict, detach boolean)
returns maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_month  timestamptz := (_expire_month.verdict).month;
    v_part   bigint := (select totals_kept + 1 from log_months where month = v_month);
    v_kept   bigint := (select coalesce(sum(event_count), 0) from dropped_rollups where month = v_month and part = v_part);
    v_action maintenance_action;
begin
    if v_kept = (_expire_month.verdict).event_count then
        v_action := _let_go(_expire_month.verdict, _expire_month.detach);
    else
        v_action := ('postponed partition', format('%s: events came while it was verified', (_expire_month.verdict).partition_name));
    end if;
    if v_action.action in ('dropped partition', 'detached partition') then
        update log_months set totals_kept = v_part where month = v_month;
    else
        perform _discard_totals(v_month);
    end if;
    return v_action;
end
$$;

comment on function _expire_month(month_verdict, boolean) is
    'Drops or detaches the partition of a verified month as _let_go() does; the totals that _keep_totals() wrote stay only if it is gone.';
