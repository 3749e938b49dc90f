-- The row of the series is locked before anything is decided, and all who record for it do the same: so an event is admitted only if it fits with
-- all that is committed or in this transaction. The key has been inserted already: a refused event gives it back.
create or replace function _record_limited_event(
    definition metrics, locked series, event_id bigint, at timestamptz, quantity numeric, member text, idempotency_key text, metadata jsonb,
    total boolean, beyond text, digest uuid
)
returns recorded
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_series   series := _record_limited_event.locked;
    -- Whether no change of the subject's limits is under way that has not found the row.
    v_is_sure  boolean := (locked.revision = definition.revision) is true or _try_limited_subject(locked.subject);
    v_now      timestamptz := clock_timestamp();  -- the row has been locked
    v_checks   limit_check[] := _limit_checks(definition, v_series, _record_limited_event.at, v_now);
    v_refusing limit_check;
    v_recorded recorded;
begin
    if (locked.revision = definition.revision) is not true then
        perform _check_home(locked.subject);
    end if;
    perform _clear_marks(definition, v_series, v_checks);
    v_refusing := _refusing_limit(v_checks, definition, v_series.series_id, _record_limited_event.quantity, _record_limited_event.member,
                                  _record_limited_event.at, _record_limited_event.event_id);
    if v_refusing.limit_id is not null and beyond is null then
        delete from keys k where k.digest = _record_limited_event.digest;
        perform _fire_marks(definition, v_series, v_checks),
            _note_refusal(definition, v_series, v_refusing, _record_limited_event.quantity);
        return _refused_result(definition, v_series, _record_limited_event.at, v_refusing, _record_limited_event.total);
    end if;
    v_recorded := _count_event(definition, v_series.subject, _record_limited_event.event_id, _record_limited_event.at,
        _record_limited_event.quantity, _record_limited_event.member, _record_limited_event.idempotency_key, _record_limited_event.metadata,
        _record_limited_event.total);
    v_series := _find_series_row(definition, v_series.subject);
    v_checks := case
        when definition.aggregate in ('sum', 'count') and v_refusing.limit_id is null then _used_more(v_checks, _record_limited_event.quantity)
        else _limit_checks(definition, v_series, _record_limited_event.at, v_now) end;
    perform _fire_marks(definition, v_series, v_checks);
    if v_refusing.limit_id is not null and beyond <> 'held' then
        perform _note_overflow(v_series, v_checks, beyond);
    end if;
    if not v_is_sure then
        update series s set revision = 0 where s.series_id = v_series.series_id and s.stripe = 0;
    elsif _record_limited_event.at >= v_series.fine_start and _record_limited_event.at < v_series.fine_end then
        perform _note_room(v_series, v_checks, v_now);
    else
        perform _forget_room(v_series);
    end if;
    return _with_remaining(v_recorded, _binding_limit(v_checks));
end
$$;

comment on function _record_limited_event(metrics, series, bigint, timestamptz, numeric, text, text, jsonb, boolean, text, uuid) is
    'Decides about a valid event of a limited metric, whose key, if it has one, is already inserted, and counts it unless a limit refuses it; '
    'returns the result of record(). locked: the row of the series, from _lock_limited_row(). beyond: null: an '
    'event that does not fit is refused; otherwise it is counted, and overflow or settle is noted as the cause; held: nothing is noted.';

create or replace function _refused_result(definition metrics, found series, at timestamptz, refusing limit_check, total boolean)
returns recorded
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_start    timestamptz := _bucket_start(definition.period, _refused_result.at);
    v_end      timestamptz := _bucket_end(definition.period, v_start);
    v_recorded recorded;
begin
    v_recorded.outcome := 'refused';
    if _refused_result.total is not false then
        v_recorded.quantity := (_window_usage(definition, found.subject, v_start, v_end)).quantity;
    end if;
    v_recorded.unit := definition.unit;
    v_recorded.period_start := v_start;
    v_recorded.period_end := nullif(v_end, 'infinity');
    return _with_remaining(v_recorded, refusing);
end
$$;

comment on function _refused_result(metrics, series, timestamptz, limit_check, boolean) is
    'The result of record() for an event that a limit has refused: nothing was counted, and there is no event id; '
    'with total false no quantity either.';

create or replace function _with_remaining(result recorded, binding limit_check)
returns recorded
language plpgsql
immutable
set search_path from current
as $$
begin
    if binding.limit_id is not null then
        result.remaining := trim_scale(binding.remaining);
        result.limited_by := binding.name;
    end if;
    return result;
end
$$;

comment on function _with_remaining(recorded, limit_check) is
    'The result of record() with what a limit leaves, and its name; without a limit as it is.';
