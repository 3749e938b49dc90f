create or replace function _replace_push(
    push pushes, customer text, event_name text, stamped_at timestamptz, due_at timestamptz, reason text, now timestamptz
)
returns pushes
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_new pushes;
begin
    insert into pushes (subject, metric, biller, bucket_start, event_id, mode, identifier, customer, event_name, value, stamped_at,
                        due_at, state, planned_at, next_attempt_at, replaces)
    values ((push).subject, (push).metric, (push).biller, (push).bucket_start, (push).event_id, (push).mode,
            _push_identifier((push).identifier, _replace_push.customer, _replace_push.event_name,
                             extract(epoch from _replace_push.stamped_at)::text),
            _replace_push.customer, _replace_push.event_name, (push).value, _replace_push.stamped_at, _replace_push.due_at, 'planned',
            _replace_push.now, _replace_push.now, (push).push_id)
    returning * into v_new;
    update pushes p
    set state = 'replaced', reason = _replace_push.reason, replaced_by = v_new.push_id, settled_at = _replace_push.now
    where p.subject = (push).subject and p.push_id = (push).push_id;
    return v_new;
end
$$;

comment on function _replace_push(pushes, text, text, timestamptz, timestamptz, text, timestamptz) is
    'Plans another push, with an identifier of its own, for one that is not sent any more. The lanes of both are locked.';
