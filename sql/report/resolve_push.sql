create or replace function resolve_push(identifier text, delivered boolean, now timestamptz default now())
returns pushes
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_push  pushes := case when not _is_open('resolve_push') or _check_caller('resolve_push') then _get_push(resolve_push.identifier) end;
    v_lanes report_lanes[] := array[(v_push.biller, v_push.customer, v_push.event_name, null, null, null, null)::report_lanes];
begin
    perform _check_time('now', resolve_push.now, required => true), _check_read_committed();
    if resolve_push.delivered is null then
        raise exception using errcode = '22004', message = 'delivered is null', column = 'delivered',
            hint = 'true: the biller has counted it. false: it has not, and a new push is sent.';
    end if;
    perform _check_home(v_push.subject), _lock_lanes(v_lanes);
    v_push := _get_push(resolve_push.identifier);
    if v_push.state <> 'uncertain' and not (v_push.state = 'held' and v_push.reason = 'restored') then
        raise exception using errcode = '22023', message = 'the push is not uncertain', column = 'identifier',
            detail = format('%s is %s.', v_push.identifier, v_push.state),
            hint = 'Only uncertain pushes can be resolved manually. For rejected and held ones, use retry_pushes().';
    end if;
    if resolve_push.delivered then
        update pushes p set state = 'resolved', settled_at = resolve_push.now
        where p.subject = v_push.subject and p.push_id = v_push.push_id;
    else
        perform _replace_push(v_push, v_push.customer, v_push.event_name, v_push.stamped_at, v_push.due_at, 'absent', resolve_push.now);
        perform _refresh_lanes(v_lanes, resolve_push.now);
    end if;
    return _get_push(resolve_push.identifier);
end
$$;

comment on function resolve_push(text, boolean, timestamptz) is
    'Manually resolves an uncertain push, or one that is held as restored. If delivered, it becomes resolved; otherwise it is replaced by a '
    'new push with an identifier of its own. Returns the push. Raises 22004 or 22023 for a bad value, an unknown identifier or a push in '
    'another state, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, UM008 for a subject that is on another shard or being moved. Example: '
    'SELECT value, state FROM meter.resolve_push((SELECT '
    'identifier FROM meter.pushes(state => ''uncertain'')), delivered => true, now => ''2026-06-19 16:30+00'');';
