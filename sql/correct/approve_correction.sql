create or replace function approve_correction(id bigint)
returns setof correction_effect
language plpgsql
volatile
security definer
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_correction corrections;
    v_shown      correction_effect[];
    v_effects    correction_effect[];
begin
    if _is_open('approve_correction') then perform _check_caller('approve_correction'); end if;
    perform _check_correcting();
    v_correction := _lock_correction(id, '{open}');
    perform _check_four_eyes(v_correction), _check_homes(array(
        select e.subject from correction_entries e where e.correction_id = id));
    v_shown := array(select f from _priced_effects(id) f);
    v_effects := array(
        select (f.subject, f.metric, f.since, f.until, f.before, f.after, f.delta, f.closed, f.reported, f.limits, s.amount,
                s.currency)::correction_effect
        from _effects(array(
            select b
            from _apply_entries(id, array(select e from correction_entries e where e.correction_id = id order by e.ordinal)) b)) f
        left join unnest(v_shown) s on s.subject = f.subject and s.metric = f.metric and s.since = f.since and s.delta = f.delta
        order by f.subject, f.metric, f.since);
    update corrections c set state = 'approved', decided_by = _session_role(), decided_at = clock_timestamp() where c.correction_id = id;
    perform _notify_correction('correction.applied', id, v_correction.reason, v_effects);
    return query select * from unnest(v_effects);
end
$$;

comment on function approve_correction(bigint) is
    'Makes all entries of an open correction count, in one transaction, and returns what has changed, as preview_correction() does. '
    'correction_entries() tells the outcome of each entry. Recording goes on; who records for the series concerned waits for the end of the '
    'transaction, so commit at once. With the setting four_eyes, the role that opened it may not approve it (42501). Raises UM007 for an unknown '
    'correction, 22023 if it is not open, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if a series is locked by others for more '
    'than a second (nothing was changed: try again), and the errors of entries that can no longer be applied, UM008 for a subject that is on '
    'another shard or being moved. amount is computed before anybody '
    'has to wait: it does not know what was recorded meanwhile. '
    'Example: BEGIN; SELECT meter.stage_correction(meter.open_correction(''goodwill''), ''[{"entry": "adjust", "subject": "acct_9", "metric": '
    '"tokens", "quantity": -5}]'') AS entries; SELECT subject, metric, before, after, delta FROM meter.approve_correction((SELECT '
    'max(correction_id) FROM meter.corrections(''open''))); ROLLBACK;';
