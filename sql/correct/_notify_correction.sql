create or replace function _notify_correction(type text, correction_id bigint, reason text, effects correction_effect[])
returns void
language sql
volatile
set search_path from current
as $$
    insert into notifications (type, subject, metric, data)
    select _notify_correction.type, f.subject, f.metric, jsonb_build_object(
               'correction_id', _notify_correction.correction_id, 'reason', _notify_correction.reason,
               'since', f.since, 'until', f.until, 'before', f.before, 'after', f.after, 'delta', f.delta, 'limits', f.limits)
    from unnest(effects) f
$$;

comment on function _notify_correction(text, bigint, text, correction_effect[]) is
    'Writes a notification for each period that a correction changes.';
