-- The caller has locked the log, so nobody records and nobody reads it.
create or replace function _let_go(verdict month_verdict, detach boolean)
returns maintenance_action
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_partition text := (_let_go.verdict).partition_name;
    v_late      text := case when (_let_go.verdict).is_late then ': late events of a month dropped before' else '' end;
    v_detached  text;
    v_needed    text;
begin
    if _count_events(v_partition) <> (_let_go.verdict).event_count then
        return ('postponed partition', format('%s: events came while it was verified', v_partition))::maintenance_action;
    end if;
    v_needed := _unreported_events((_let_go.verdict).month);
    if v_needed is not null then
        return ('kept partition', format('%s: %s', v_partition, v_needed))::maintenance_action;
    end if;
    if detach then
        v_detached := _detach_partition(v_partition);
    else
        execute format('drop table %I', v_partition);
    end if;
    update log_months set dropped = true where month = (_let_go.verdict).month;
    return case when detach then ('detached partition', format('%s as %s%s', v_partition, v_detached, v_late))::maintenance_action
                else ('dropped partition', v_partition || v_late)::maintenance_action end;
exception when dependent_objects_still_exist then
    return ('kept partition', format('%s: other objects depend on it', v_partition))::maintenance_action;
end
$$;

comment on function _let_go(month_verdict, boolean) is
    'Drops or detaches the partition of a verified month, unless events came since its verification; returns what it did.';
