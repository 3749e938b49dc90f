-- record() may have inserted the key already: event_id and digest. Otherwise that comes after the checks: a refused event waits for nobody.
-- Whether maintain() has moved the key to old_keys is asked by a later statement than the one that inserts it: if it was removed from keys
-- before that, its copy is seen now. For transactions with one snapshot, in which it might not be, _check_keys() is called.
create or replace function _record_event(
    subject text, metric_key text, quantity numeric, member text, idempotency_key text, at timestamptz, metadata jsonb, total boolean,
    overflow boolean, event_id bigint, digest uuid
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_quantity numeric := case when _record_event.member is null then coalesce(_record_event.quantity, 1) end;
    v_digest   uuid := coalesce(_record_event.digest, _key_digest(metric_key, _record_event.subject, _record_event.idempotency_key));
    v_event_id bigint := _record_event.event_id;
    v_found    record;
    v_metric   metrics;
    v_recorded recorded;
begin
    at := coalesce(_record_event.at, now());
    select m as metric, exists (select from old_keys where digest = v_digest) as is_old_key into v_found from metrics m where m.key = metric_key;
    v_metric := v_found.metric;
    if v_metric.aggregate <> 'count' then
        v_quantity := _record_event.quantity;
    end if;
    if (_is_plain_event(v_metric.aggregate, v_metric.retired_at, _record_event.subject, metric_key, v_quantity, _record_event.member,
                        _record_event.idempotency_key, _record_event.at, _record_event.metadata)
        and current_setting('transaction_isolation') = 'read committed' and not _is_open('record')) is not true then
        if _is_open('record') then perform _check_caller('record'); end if;
        perform _check_event(v_metric, metric_key, _record_event.subject, v_quantity, _record_event.member,
                             _record_event.idempotency_key, _record_event.at, _record_event.metadata);
    end if;

    if v_event_id is null and v_digest is not null then
        insert into keys (event_id, at, digest, quantity, member)
        values (nextval('event_ids'), _record_event.at, v_digest, v_quantity, _record_event.member)
        on conflict (digest) do nothing returning event_id into v_event_id;
        -- Also the metric is read anew: it may have got its first limit while the key was waited for.
        select m as metric, exists (select from old_keys where digest = v_digest) as is_old_key into v_found
        from metrics m where m.key = metric_key;
        v_metric := v_found.metric;
    end if;
    if v_digest is null then
        v_event_id := coalesce(v_event_id, nextval('event_ids'));
    elsif v_found.is_old_key or v_event_id is null then
        delete from keys where v_found.is_old_key and digest = v_digest;
        return _replay_result(v_metric, _record_event.subject, v_digest, v_quantity, _record_event.member,
                              _record_event.total);
    end if;
    if not v_metric.limited then
        v_recorded := case
            when v_metric.striped and v_metric.aggregate in ('sum', 'count') and v_metric.period = v_metric.coarse_bucket and v_metric.billers is null
                and v_metric.after_close = 'accept'
            then _count_striped_event(v_metric, _record_event.subject, v_event_id, _record_event.at, v_quantity,
                                      _record_event.idempotency_key, _record_event.metadata, _record_event.total)
            else _count_event(v_metric, _record_event.subject, v_event_id, _record_event.at, v_quantity, _record_event.member,
                              _record_event.idempotency_key, _record_event.metadata, _record_event.total) end;
        if v_recorded.outcome is null then
            select * into v_metric from metrics m where m.key = metric_key;
        end if;
    end if;
    if v_metric.limited then
        v_recorded := _record_limited_event(v_metric, _lock_limited_series(v_metric, _record_event.subject), v_event_id, _record_event.at, v_quantity,
            _record_event.member, _record_event.idempotency_key, _record_event.metadata, _record_event.total,
            case when _record_event.overflow then 'overflow' end, v_digest);
    end if;
    return v_recorded;
end
$$;

comment on function _record_event(text, text, numeric, text, text, timestamptz, jsonb, boolean, boolean, bigint, uuid) is
    'What record() does with an event that it cannot record in its short way: inserts its key unless that has been done, checks it, counts '
    'it. Raises as record() does.';

create or replace function _strict_result(strict boolean, metric text, result recorded)
returns recorded
language plpgsql
stable
set search_path from current
as $$
begin
    if strict and (result).outcome = 'refused' then
        raise exception using
            errcode = 'UM003', message = 'the event would go beyond a limit', column = 'quantity',
            detail = format('metric %s, limit %s: %s remaining.', quote_literal(left(metric, 80)), quote_literal((result).limited_by),
                (result).remaining),
            hint = 'Nothing was recorded. Raise the limit with set_limit(), or pass overflow => true for usage that has happened.';
    elsif strict and (result).outcome in ('duplicate', 'conflict') then
        raise exception using
            errcode = 'UM005', message = 'the idempotency key was used before', column = 'idempotency_key',
            detail = format('metric %s, event %s, outcome %s.', quote_literal(left(metric, 80)), (result).event_id, (result).outcome),
            hint = 'Nothing was recorded. Without strict, the outcome tells a duplicate from a conflict.';
    end if;
    return result;
end
$$;

comment on function _strict_result(boolean, text, recorded) is
    'Returns the result of record(); if strict, raises UM003 for a refused event, UM005 for a duplicate or conflict.';
