create or replace function preview_correction(id bigint)
returns setof correction_effect
language plpgsql
stable
security definer
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_correction corrections;
    v_steps      correction_step[];
    v_effects    correction_effect[];
begin
    if _is_open('preview_correction') then perform _check_caller('preview_correction'); end if;
    v_correction := _get_correction(id);
    if v_correction.state <> 'open' then
        raise exception using errcode = '22023', message = 'the correction is in another state', column = 'id',
            detail = format('Correction %s is %s.', id, v_correction.state), hint = 'correction_entries() tells what it did.';
    end if;
    v_steps := array(
        select s from _plan_entries(array(select e from correction_entries e where e.correction_id = id order by e.ordinal)) s);
    if exists (select from unnest(v_steps) s where s.outcome = 'event_unknown') then
        perform _check_snapshot();
    end if;
    perform _raise_step_problem(v_steps);
    v_effects := array(select f from _planned_effects(v_steps) f);
    perform _check_snapshot();
    return query select * from unnest(v_effects);
end
$$;

comment on function preview_correction(bigint) is
    'What approving an open correction would change now: one row for each subject, metric and period, with the quantity before and after. It only '
    'reads. approve_correction() returns the same rows, unless something has been recorded or corrected in between: then they differ, '
    'of a sum or count in before and after, not in delta. amount: by how much it changes what the subject owes, see the type. Raises '
    'UM007 for an unknown correction, 22023 if it is not open, the errors of entries that can no longer be applied, and 40001 as usage() '
    'does. '
    'Example: BEGIN; SELECT meter.stage_correction(meter.open_correction(''goodwill''), ''[{"entry": "adjust", "subject": "acct_9", "metric": '
    '"tokens", "quantity": -5}]'') AS entries; SELECT subject, metric, before, after, delta FROM meter.preview_correction((SELECT '
    'max(correction_id) FROM meter.corrections(''open''))); ROLLBACK;';
