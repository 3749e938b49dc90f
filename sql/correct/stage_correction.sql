create or replace function stage_correction(id bigint, entries jsonb)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_last    integer;
    v_entries correction_entries[];
begin
    if _is_open('stage_correction') then perform _check_caller('stage_correction'); end if;
    perform _check_opener(_lock_correction(id, '{open}')), _check_entries(stage_correction.entries);
    lock table only events in access share mode;  -- see _check_correcting()
    v_last := coalesce((select max(e.ordinal) from correction_entries e where e.correction_id = id), 0);
    v_entries := _parse_entries(id, v_last, stage_correction.entries);
    perform _check_homes(array(select e.subject from unnest(v_entries) e));
    perform _raise_step_problem(array(select s from _plan_entries(v_entries) s));
    perform _create_corrected_series(v_entries);
    insert into correction_entries select e.* from unnest(v_entries) e;
    return v_last + cardinality(v_entries);
end
$$;

comment on function stage_correction(bigint, jsonb) is
    'Adds entries to an open correction, any number of times; they count nowhere until it is approved. id: of open_correction(). entries: a JSON '
    'array of objects. entry says what: void, amend, adjust or record; the other fields are the parameters of void_event(), amend_event(), '
    'adjust() or record() by name. An entry void with since and until, instead of an event, stands for a void of every event that counts in '
    '[since, until). A record with the key of an event that an earlier entry voids takes its place. Returns how many entries the '
    'correction has. An invalid entry refuses the whole call, and DETAIL names it. With the setting four_eyes, only the role '
    'that opened it may add entries (42501). Raises UM007 for an unknown correction or event, 22023 if it is '
    'not open, UM001, UM002, UM006, 22004 or 22023 for an entry, as these functions do, 55P03 if the correction is locked for 5 seconds, UM008 for '
    'a subject that is on another shard or being moved. '
    'Example: BEGIN; SELECT meter.stage_correction(meter.open_correction(''goodwill''), ''[{"entry": "adjust", "subject": "acct_1", "metric": '
    '"tokens", "quantity": -5}]'') AS entries; ROLLBACK;';
