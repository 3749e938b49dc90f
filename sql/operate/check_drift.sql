-- Verifying is for a weekly job, not for a monitor that polls: so the number is noted here, and operational_metrics() returns it.
create or replace function check_drift()
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_drifts bigint;
begin
    if _is_open('check_drift') then perform _check_caller('check_drift'); end if;
    v_drifts := (select count(*) from verify()) + (select count(*) from verify_statements());
    insert into maintenance as m (task, done_at, found) values ('check_drift', now(), v_drifts)
    on conflict (task) do update set done_at = excluded.done_at, found = excluded.found where m.done_at <= excluded.done_at;
    return v_drifts;
end
$$;

comment on function check_drift() is
    'Runs verify() and verify_statements() for all subjects and metrics, notes how many rows they returned and when, for operational_metrics(), '
    'and returns the number. 0: every rollup and statement is as it should be. It reads the whole log and blocks no other session; run it weekly. '
    'Raises 40001 if events were moved to other partitions since the snapshot was taken. Example: SELECT meter.check_drift();';
