-- event_id: record() has inserted the key already, for that event; null: it has not, or there is none.
create or replace function _record_event(
    subject text, metric_key text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb, total boolean,
    event_id bigint
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric   metrics;
    v_quantity numeric;
    v_digest   uuid;
    v_event_id bigint := _record_event.event_id;
    v_recorded recorded;
begin
    select * into v_metric from metrics where key = metric_key;
    v_quantity := coalesce(trim_scale(_record_event.quantity), case v_metric.aggregate when 'count' then 1 end);
    at := coalesce(_record_event.at, now());
    if (_is_plain_event(v_metric.aggregate, v_metric.retired_at, _record_event.subject, metric_key, v_quantity, _record_event.member,
                        _record_event.idempotency_key, _record_event.at, _record_event.metadata)
        and current_setting('transaction_isolation') = 'read committed' and not _is_open('record')) is not true then
        if _is_open('record') then perform _check_caller('record'); end if;
        perform _check_event(v_metric, metric_key, _record_event.subject, v_quantity, _record_event.member,
                             _record_event.idempotency_key, _record_event.at, _record_event.metadata);
    end if;

    if v_event_id is null and _record_event.idempotency_key is not null then
        v_digest := _key_digest(metric_key, _record_event.subject, _record_event.idempotency_key);
        insert into keys (event_id, at, digest, quantity, member)
        select nextval('event_ids'), _record_event.at, v_digest, v_quantity, _record_event.member
        where not exists (select from old_keys where digest = v_digest)
        on conflict (digest) do nothing
        returning event_id into v_event_id;
        if v_event_id is null then
            return _replay_result(v_metric, _record_event.subject, v_digest, v_quantity, _record_event.member);
        end if;
    end if;
    return _count_event(v_metric, _record_event.subject, coalesce(v_event_id, nextval('event_ids')), _record_event.at, v_quantity,
                        _record_event.member, _record_event.idempotency_key, _record_event.metadata, _record_event.total);
end
$$;

comment on function _record_event(text, text, numeric, text, text, timestamptz, jsonb, boolean, bigint) is
    'What record() does with an event that it cannot record in its short way: checks it, inserts its key unless that has been done, counts '
    'it. Raises as record() does.';
