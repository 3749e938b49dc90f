-- An event is found by its key when it is needed: until then, the key may come to name another one.
create or replace function _with_event(entry correction_entries, event_id bigint, idempotency_key text, at timestamptz)
returns correction_entries
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_entry correction_entries := _with_event.entry;
begin
    perform _check_one_name(_with_event.event_id, _with_event.idempotency_key), _check_time('at', _with_event.at);
    v_entry.idempotency_key := _with_event.idempotency_key;
    if _with_event.event_id is not null then
        v_entry.corrects := _with_event.event_id;
        v_entry.corrects_at := coalesce(
            (select k.at from event_kinds k where k.event_id = _with_event.event_id),
            _event_time(v_entry.subject, v_entry.metric, _with_event.event_id, _with_event.at),
            (select m from _dropped_months() m where m = _bucket_start('month', _with_event.at)));
    end if;
    return v_entry;
end
$$;

comment on function _with_event(correction_entries, bigint, text, timestamptz) is
    'An entry with the event that it is about. corrects_at is null if there is no such event. Raises 22004 or 22023 unless it is named in one '
    'way.';

create or replace function _check_one_name(event_id bigint, idempotency_key text)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if event_id is null and idempotency_key is null then
        raise exception using errcode = '22004', message = 'event_id and idempotency_key are null', column = 'event_id',
            hint = 'Name the event by its event_id, as events() returns it, or by its idempotency_key.';
    elsif event_id is not null and idempotency_key is not null then
        raise exception using errcode = '22023', message = 'event_id and idempotency_key are both given', column = 'event_id',
            detail = format('event_id %s, idempotency_key %s.', event_id, quote_literal(left(idempotency_key, 80))),
            hint = 'Name the event by one of them.';
    end if;
end
$$;

comment on function _check_one_name(bigint, text) is 'Raises 22004 or 22023 unless an event is named by its id, or by its key.';
