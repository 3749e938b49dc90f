create or replace function _split_push(push pushes, part numeric, now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rest bigint;
begin
    insert into pushes (subject, metric, biller, bucket_start, mode, identifier, customer, event_name, value, stamped_at, due_at, state,
                        planned_at, next_attempt_at, settled_at, replaces)
    values ((push).subject, (push).metric, (push).biller, (push).bucket_start, (push).mode,
            _push_identifier((push).identifier, 'found', trim_scale(part)::text), (push).customer, (push).event_name, part,
            (push).stamped_at, (push).due_at, 'resolved', _split_push.now, _split_push.now, _split_push.now, (push).push_id);
    insert into pushes (subject, metric, biller, bucket_start, mode, identifier, customer, event_name, value, stamped_at, due_at, state,
                        reason, unsure_attempts, unsure_since, planned_at, next_attempt_at, replaces)
    values ((push).subject, (push).metric, (push).biller, (push).bucket_start, (push).mode,
            _push_identifier((push).identifier, 'rest', trim_scale(part)::text), (push).customer, (push).event_name, (push).value - part,
            (push).stamped_at, (push).due_at, 'uncertain', 'restored', 1, (push).unsure_since, _split_push.now, _split_push.now,
            (push).push_id)
    returning push_id into v_rest;
    update pushes p set state = 'replaced', reason = 'split', replaced_by = v_rest, settled_at = _split_push.now
    where p.subject = (push).subject and p.push_id = (push).push_id;
end
$$;

comment on function _split_push(pushes, numeric, timestamptz) is
    'Replaces an uncertain part of a bucket by two: what was found in the biller''s totals, and the rest. Its lane is locked.';
