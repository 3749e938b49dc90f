create or replace function reject_correction(id bigint, reason text)
returns void
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('reject_correction') then perform _check_caller('reject_correction'); end if;
    perform _check_name('reason', reject_correction.reason, 10000), _check_four_eyes(_lock_correction(id, '{open}')),
        _check_homes(array(select e.subject from correction_entries e where e.correction_id = id));
    update corrections c
    set state = 'rejected', decided_by = _session_role(), decided_at = clock_timestamp(), decision = reject_correction.reason
    where c.correction_id = id;
end
$$;

comment on function reject_correction(bigint, text) is
    'Closes an open correction without applying it; its entries stay to be read. reason: why, 1 to 10,000 characters. With the setting '
    'four_eyes, the role that opened it may not reject it (42501). Raises UM007 for an unknown correction, 22023 if it is not open, 22004 or 22023 '
    'for a bad reason, UM008 for an entry of a subject that is on another shard or being moved. '
    'Example: BEGIN; SELECT meter.reject_correction(meter.open_correction(''backfill of June''), ''wrong month''); ROLLBACK;';
