-- The lost part of the journal may have divided the same usage into different pushes. Only the total of a customer and hour counts, so it
-- is assigned to the earliest pushes that fit, and to a part of one more. The biller's total only grows, so this needs no waiting. From then
-- on the total alone decides in this hour: what another push has been taken for cannot be found by its identifier or content any more.
create or replace function _settle_doubtful(uncertain pushes[], excess numeric, now timestamptz)
returns settled_hour
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rest    numeric := excess;
    v_present bigint[] := array[]::bigint[];
    v_push    pushes;
    v_split   pushes;
begin
    if excess <= 0 or (_doubtful_journal(uncertain[1].biller, uncertain[1].stamped_at)).biller is null
        or exists (select from unnest(uncertain) u where u.value <= 0 or u.mode = 'item') then
        return null;
    end if;
    foreach v_push in array uncertain loop
        if v_push.value <= v_rest then
            v_present := v_present || v_push.push_id;
            v_rest := v_rest - v_push.value;
        elsif v_split.push_id is null and v_push.event_id is null then
            v_split := v_push;
        end if;
    end loop;
    if v_rest > 0 and cardinality(v_present) < cardinality(uncertain) then
        if v_split.push_id is null then
            return null;
        end if;
        perform _split_push(v_split, v_rest, _settle_doubtful.now);
        return _resolve_found(uncertain, v_present, 1, _settle_doubtful.now);
    end if;
    return _resolve_found(uncertain, v_present, 0, _settle_doubtful.now);
end
$$;

comment on function _settle_doubtful(pushes[], numeric, timestamptz) is
    'Resolves uncertain pushes of an hour from before an adoption of the journal, up to the amount that the biller''s total contains. '
    'Returns null if nothing was decided. The caller has locked their lane.';

create or replace function _resolve_found(uncertain pushes[], present bigint[], split integer, now timestamptz)
returns settled_hour
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_missing bigint := cardinality(uncertain) - cardinality(present);
begin
    update pushes p set state = 'resolved', settled_at = _resolve_found.now where p.push_id = any (present);
    -- The absence interval of the others starts again, since the set of missing pushes has changed.
    update pushes p set absent_since = null, next_attempt_at = _resolve_found.now
    where p.push_id in (select u.push_id from unnest(uncertain) u) and p.state = 'uncertain';
    return (case when v_missing = 0 then 'present' else 'partly' end, cardinality(present) + split, 0, v_missing)::settled_hour;
end
$$;

comment on function _resolve_found(pushes[], bigint[], integer, timestamptz) is
    'Resolves the pushes of an hour that the biller''s total contains, and leaves the others uncertain. The caller has locked their lane.';

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
            _push_identifier(array[(push).identifier, 'found', trim_scale(part)::text]), (push).customer, (push).event_name, part,
            (push).stamped_at, (push).due_at, 'resolved', _split_push.now, _split_push.now, _split_push.now, (push).push_id);
    insert into pushes (subject, metric, biller, bucket_start, mode, identifier, customer, event_name, value, stamped_at, due_at, state,
                        reason, unsure_attempts, unsure_since, planned_at, next_attempt_at, replaces)
    values ((push).subject, (push).metric, (push).biller, (push).bucket_start, (push).mode,
            _push_identifier(array[(push).identifier, 'rest', trim_scale(part)::text]), (push).customer, (push).event_name, (push).value - part,
            (push).stamped_at, (push).due_at, 'uncertain', 'restored', 1, (push).unsure_since, _split_push.now, _split_push.now,
            (push).push_id)
    returning push_id into v_rest;
    update pushes p set state = 'replaced', reason = 'split', replaced_by = v_rest, settled_at = _split_push.now
    where p.subject = (push).subject and p.push_id = (push).push_id;
end
$$;

comment on function _split_push(pushes, numeric, timestamptz) is
    'Replaces an uncertain push by two: the part that the biller''s total contains, resolved, and the rest, uncertain. The caller has '
    'locked its lane.';
