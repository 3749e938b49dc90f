-- A key whose event was refused is free again: a later event of the batch may own it.
create or replace function _record_limited_rows(batch batch_event[], owned bigint[])
returns setof batch_outcome
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    e          batch_event;
    v_metric   metrics;
    v_owns     boolean;
    v_series   series;
    v_recorded recorded;
begin
    foreach e in array batch loop
        if v_metric.key is distinct from e.metric then
            select * into v_metric from metrics m where m.key = e.metric;
        end if;
        v_owns := e.digest is null or e.event_id = any (owned);
        if not v_owns then
            insert into keys (event_id, at, digest, quantity, member) values (e.event_id, e.at, e.digest, e.quantity, e.member)
            on conflict (digest) do nothing;
            v_owns := found;
            -- Asked by a later statement, as in _record_event().
            if v_owns and exists (select from old_keys o where o.digest = e.digest) then
                delete from keys k where k.digest = e.digest;
                v_owns := false;
            end if;
        end if;
        if v_owns then
            v_series := _lock_limited_row(v_metric, e.subject);
        end if;
        v_recorded := case
            when v_owns then _record_limited_event(v_metric, v_series, e.event_id, e.at, e.quantity, e.member, e.idempotency_key, e.metadata,
                                                   false, null, e.digest)
            else _replay_result(v_metric, e.subject, e.digest, e.quantity, e.member, false) end;
        return next (e.ordinal, v_recorded.event_id, v_recorded.outcome,
            case when v_recorded.outcome = 'refused' then 'UM003' end,
            case when v_recorded.outcome = 'refused' then format('the event would go beyond the limit %s', v_recorded.limited_by) end,
            case when v_recorded.outcome = 'refused' then 'Raise the limit, or pass overflow => true for usage that has happened.' end
        )::batch_outcome;
    end loop;
end
$$;

comment on function _record_limited_rows(batch_event[], bigint[]) is
    'Decides about valid events of limited metrics in order, counts those that no limit refuses, and returns the outcomes. owned: the ids of the '
    'events that own their key. The caller has locked their series.';

create or replace function _raise_refused(outcomes batch_outcome[])
returns void
language plpgsql
stable
set search_path from current
as $$
declare
    v_refused batch_outcome;
begin
    select * into v_refused from unnest(outcomes) o where o.outcome = 'refused' order by o.ordinal limit 1;
    if found then
        raise exception using
            errcode = 'UM003', message = 'the event would go beyond a limit', column = 'quantity',
            detail = format('Event %s: %s.', v_refused.ordinal, v_refused.message),
            hint = 'Nothing was recorded. Raise the limit, pass overflow => true for usage that has happened, or on_refused => ''skip''.';
    end if;
end
$$;

comment on function _raise_refused(batch_outcome[]) is 'Raises UM003 for the first event of a batch that was refused, if there is one.';
