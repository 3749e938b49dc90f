create or replace function _correct_at_once(entry correction_entries)
returns corrected
language plpgsql
volatile
set search_path from current
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_entry     correction_entries := _correct_at_once.entry;
    v_metric    metrics := _check_correction(v_entry);
    v_steps     correction_step[];
    v_step      correction_step;
    v_buckets   corrected_bucket[];
    v_corrected corrected;
begin
    v_entry.ordinal := 1;
    v_steps := _draw_steps(array[v_entry]);
    v_step := v_steps[cardinality(v_steps)];
    v_corrected.outcome := v_step.outcome;
    if v_step.kind is not null then
        v_corrected.correction_id := nextval('correction_ids');
        v_corrected.event_id := case when v_entry.entry = 'void' then v_step.corrects else v_step.event_id end;
        perform _write_correction(v_corrected.correction_id, v_entry, v_step.event_id), _write_log(v_corrected.correction_id, v_steps);
        v_buckets := array(select b from _write_buckets(v_steps) b);
        perform _note_corrected(v_steps);
        perform _notify_correction('correction.applied', v_corrected.correction_id, v_entry.reason, array(select f from _effects(v_buckets) f));
    else
        v_corrected.event_id := v_step.event_id;
        v_corrected.correction_id := _correction_of(v_entry.entry, v_step);
    end if;
    v_corrected.quantity := _period_quantity(v_metric, v_step.subject, v_step.at);
    return v_corrected;
end
$$;

comment on function _correct_at_once(correction_entries) is
    'What void_event(), amend_event() and adjust() do: a correction of one entry that is approved at once. Raises as these do.';

create or replace function _check_correction(entry correction_entries)
returns metrics
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := _get_metric((_check_correction.entry).metric);
begin
    perform _check_name('subject', (_check_correction.entry).subject), _check_name('reason', (_check_correction.entry).reason, 10000),
        _check_correcting(), _check_home((_check_correction.entry).subject);
    if _setting_value('four_eyes') = 'true' then
        raise exception using
            errcode = '42501', message = 'the setting four_eyes asks for a second person',
            hint = 'Use open_correction() and stage_correction(). Another role approves with approve_correction().';
    end if;
    return v_metric;
end
$$;

comment on function _check_correction(correction_entries) is
    'Returns the metric of an entry that is to be applied at once. Raises UM001 for an unknown one, 22004 or 22023 for a bad subject or reason, '
    '25001 in a REPEATABLE READ or SERIALIZABLE transaction, 42501 with the setting four_eyes.';

create or replace function _write_correction(correction_id bigint, entry correction_entries, event_id bigint)
returns void
language sql
volatile
set search_path from current
as $$
    insert into corrections (correction_id, state, reason, opened_by, decided_by, decided_at)
    values (_write_correction.correction_id, 'approved', (_write_correction.entry).reason, _session_role(), _session_role(), clock_timestamp());
    insert into correction_entries (correction_id, ordinal, entry, subject, metric, corrects, corrects_at, quantity, member, idempotency_key, at,
                                    metadata, outcome, event_id)
    select _write_correction.correction_id, 1, e.entry, e.subject, e.metric, e.corrects, e.corrects_at, e.quantity, e.member, e.idempotency_key,
           e.at, e.metadata, 'applied', _write_correction.event_id
    from (select (_write_correction.entry).*) e
$$;

comment on function _write_correction(bigint, correction_entries, bigint) is 'Writes a correction of one entry that is applied at once.';

create or replace function _correction_of(entry text, step correction_step)
returns bigint
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return case
        when (_correction_of.step).outcome <> 'duplicate' then null
        when _correction_of.entry = 'void' then (
            select k.correction_id from event_kinds k
            where k.corrects = (_correction_of.step).event_id and k.kind = 'void' and k.undone_by is null)
        else (select k.correction_id from event_kinds k where k.event_id = (_correction_of.step).event_id) end;
end
$$;

comment on function _correction_of(text, correction_step) is 'The correction that has already done what an entry asks for.';

create or replace function _period_quantity(metric metrics, subject text, at timestamptz)
returns numeric
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_start timestamptz := _bucket_start((_period_quantity.metric).period, _period_quantity.at);
begin
    return (_window_usage(_period_quantity.metric, _period_quantity.subject, v_start,
                          _bucket_end((_period_quantity.metric).period, v_start))).quantity;
end
$$;

comment on function _period_quantity(metrics, text, timestamptz) is 'The quantity of a metric''s own period that contains an instant.';
