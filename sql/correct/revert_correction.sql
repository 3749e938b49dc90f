create or replace function revert_correction(id bigint, reason text)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_correction corrections;
    v_steps      correction_step[];
    v_new        corrections;
    v_buckets    corrected_bucket[];
begin
    if _is_open('revert_correction') then perform _check_caller('revert_correction'); end if;
    perform _check_name('reason', revert_correction.reason, 10000), _check_correcting();
    v_correction := _lock_correction(id, '{approved}');
    perform _check_four_eyes(v_correction), _check_homes(array(
        select e.subject from correction_entries e where e.correction_id = id));
    perform _check_whole(id);
    if v_correction.reverts is not null then
        raise exception using errcode = '22023', message = 'the correction takes back another one', column = 'id',
            detail = format('Correction %s reverts %s.', id, v_correction.reverts), hint = 'Make the change again as a new correction.';
    end if;
    perform _lock_corrections(array(select distinct k.series_id from event_kinds k where k.correction_id = id));
    v_steps := _revert_steps(id);
    insert into corrections (state, reason, opened_by, decided_by, decided_at, reverts)
    values ('approved', revert_correction.reason, _session_role(), _session_role(), clock_timestamp(), id)
    returning * into v_new;
    insert into correction_entries (correction_id, ordinal, entry, subject, metric, corrects, corrects_at, outcome, event_id)
    select v_new.correction_id, s.ordinal, 'void', s.subject, s.metric, s.corrects, s.at, 'applied', s.event_id from unnest(v_steps) s;
    update corrections c set state = 'reverted' where c.correction_id = id;
    if v_steps <> '{}' then
        perform _write_log(v_new.correction_id, v_steps);
        v_buckets := array(select b from _write_buckets(v_steps) b);
        perform _note_corrected(v_steps);
    end if;
    perform _notify_correction('correction.reverted', id, revert_correction.reason, array(select f from _effects(v_buckets) f));
    return v_new.correction_id;
end
$$;

comment on function revert_correction(bigint, text) is
    'Takes an approved correction back, once, by a correction that undoes it: what it voided counts again, under its id, and what it recorded or '
    'adjusted does not. Idempotency keys stay spent. reason: why, 1 to 10,000 characters. Returns the id of the new correction, which cannot be '
    'reverted itself. With the setting four_eyes, the role that opened the correction may not revert it (42501). Raises UM007 for an unknown '
    'correction, 22023 if it is not approved, or while a later correction has changed its events (HINT names it), UM006 if a month of its events '
    'was dropped, 55000 if entries of it are on another shard, otherwise as approve_correction() does. '
    'Example: BEGIN; SELECT meter.revert_correction((SELECT correction_id FROM meter.adjust(''acct_9'', ''tokens'', -5, reason => ''goodwill'')), '
    '''wrong account'') > 0 AS reverted; ROLLBACK;';
