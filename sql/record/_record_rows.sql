-- A metric may get its first limit while rows of series are waited for, and their holder may have been held to it. Then the block gives up what it
-- has done, and the batch is decided anew; so it is after a deadlock, with others that have seen another state of the metrics, or with rebuild().
create or replace function _record_rows(batch batch_event[], overflow boolean)
returns setof batch_outcome
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
declare
    v_limited  text[];
    v_outcomes batch_outcome[];
    v_attempts integer := 0;
begin
    loop
        v_attempts := v_attempts + 1;
        v_limited := _limited_metrics(batch);
        begin
            v_outcomes := array(select o from _decide_rows(batch, overflow) o);
            perform _refuse_moved(array(select e.subject from unnest(batch) e where e.problem is null));  -- the rows are locked
            if v_limited = _limited_metrics(batch) then
                return query select * from unnest(v_outcomes);
                return;
            end if;
            raise savepoint_exception;
        exception
            when savepoint_exception then null;
            when sqlstate 'UM004' then
                if batch = _mark_closed(batch) then raise; end if;
                batch := _mark_closed(batch);
            when deadlock_detected then
                if v_attempts >= 3 then raise; end if;  -- what it waits for may be held by this transaction from before
        end;
    end loop;
end
$$;

comment on function _record_rows(batch_event[], boolean) is
    'Records the events of a batch that break no rule; returns their outcomes in order. overflow: as in record(). Raises 40001 as record() does.';

create or replace function _limited_metrics(batch batch_event[])
returns text[]
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    return array(select m.key from metrics m where m.limited and m.key in (select e.metric from unnest(batch) e) order by 1);
end
$$;

comment on function _limited_metrics(batch_event[]) is 'Which metrics of a batch are limited, as it is committed now.';

-- The same steps as record(), in the same lock order, each as one statement over the whole batch.
create or replace function _decide_rows(batch batch_event[], overflow boolean)
returns setof batch_outcome
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_owned   bigint[];
    v_limited batch_event[];
    v_decided batch_outcome[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        perform _pin_metrics(array(select distinct metric from unnest(batch) where problem is null));
    end if;
    v_owned := _own_keys(batch);
    -- Asked after keys have been waited for: a metric may have got its first limit meanwhile.
    v_limited := array(
        select e from unnest(batch) e join metrics m on m.key = e.metric where e.problem is null and m.limited order by e.ordinal);
    if v_limited <> '{}' then
        if exists (select from unnest(batch) where member is not null) then
            lock table unique_members in row exclusive mode;  -- see _lock_limited_series()
        end if;
        perform _lock_limited_rows(array(select e from unnest(batch) e where e.problem is null));
        if overflow then
            v_limited := array(select e from unnest(v_limited) e where e.digest is null or e.event_id = any (v_owned));
            perform _clear_batch_marks(v_limited);
        else
            v_decided := array(select o from _record_limited_rows(v_limited, v_owned) o);
        end if;
    end if;
    perform _count_events(array(
        select e from unnest(batch) e
        where e.problem is null and (e.digest is null or e.event_id in (select unnest(v_owned)))
          and (v_decided is null or e.ordinal not in (select d.ordinal from unnest(v_decided) d))));
    if v_limited <> '{}' and overflow then
        perform _note_limited_usage(v_limited);
    end if;
    return query
        select * from unnest(v_decided)
        union all  -- of the others only: the key of a refused event is gone
        select * from _batch_outcomes(array(
            select e from unnest(batch) e where v_decided is null or e.ordinal not in (select d.ordinal from unnest(v_decided) d)), v_owned)
        order by 1;
end
$$;

comment on function _decide_rows(batch_event[], boolean) is
    'What _record_rows() does, by the limits that there were before the rows of series were waited for.';

create or replace function _batch_outcomes(batch batch_event[], owned bigint[])
returns setof batch_outcome
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_any_problem boolean := exists (select from unnest(batch) where problem is not null);
    v_outcomes    batch_outcome[];
begin
    v_outcomes := array(
        select (e.ordinal, coalesce(k.event_id, e.event_id),
            case
                when p.code is not null then 'rejected'
                when e.digest is null or o.event_id is not null then 'recorded'
                when k.event_id is null then null
                when _is_same_payload(k.quantity, k.member, e.quantity, e.member) then 'duplicate'
                when _is_amended_payload(e.digest, e.quantity, e.member) then 'duplicate'
                else 'conflict' end,
            p.sqlstate, p.message || coalesce(': ' || e.detail, ''), p.hint)::batch_outcome
        from unnest(batch) e
        left join unnest(owned) o (event_id) on o.event_id = e.event_id
        left join lateral (
            -- OFFSET 0 keeps these subqueries, which are not executed for events that own their key.
            select * from keys k where e.problem is null and o.event_id is null and k.digest = e.digest
            union all
            select * from old_keys k where e.problem is null and o.event_id is null and k.digest = e.digest
            offset 0
        ) k on true
        left join (select * from _problems() where v_any_problem) p on p.code = e.problem
        order by e.ordinal);
    if exists (select from unnest(v_outcomes) where outcome is null) then
        raise exception using
            errcode = '40001', message = 'the idempotency key was deleted while it was being looked up',
            hint = 'Retry the transaction.';
    end if;
    return query select * from unnest(v_outcomes);
end
$$;

comment on function _batch_outcomes(batch_event[], bigint[]) is
    'The outcomes of a batch; owned: the ids of the events that own their key. Raises 40001 if a key was deleted meanwhile.';
