-- Decisions about a subject, changes of its cycle, and its closing exclude each other.
create or replace function _lock_sealed(subject text)
returns void
language plpgsql
volatile
set search_path from current
set lock_timeout to '5s'
as $$
#variable_conflict use_column
begin
    perform _check_home(_lock_sealed.subject), _enroll_subjects(array[_lock_sealed.subject]);
    perform from sealed_subjects s where s.subject = _lock_sealed.subject for update;
exception when lock_not_available then
    perform _raise_busy(format('subject %s', quote_literal(left(_lock_sealed.subject, 80))));
end
$$;

comment on function _lock_sealed(text) is 'Locks a subject against closing until the transaction ends. Raises 55P03 after 5 seconds.';

-- A line and its decisions are from one snapshot: else usage that arrives in between would be billed by a decision that does not count it.
create or replace function _write_decisions(decisions late_decisions[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into late_decisions (statement_id, decided_at, decided_by, metric, decision, quantity, reason, logged, billed)
    select d.statement_id, d.decided_at, d.decided_by, d.metric, d.decision, d.quantity, d.reason, d.logged, d.billed
    from unnest(decisions) d;
end
$$;

comment on function _write_decisions(late_decisions[]) is 'Writes decisions about late usage, in their order.';

-- In each segment, what is billed changes by what the log has gained since the last decision. Where nothing is waived, all that is logged is billed.
-- So what is billed sums to what was stated and decided to be billed, and an amount that was waived stays where it was.
create or replace function _next_decisions(line late_line, decision text, reason text, added segment_usage[] default null)
returns setof late_decisions
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_back   numeric := least(greatest(- line.delta, 0), greatest(line.waived, 0));
    v_header statements := (select t from statements t where t.statement_id = line.statement_id);
    v_last   late_decisions := (
        select d from late_decisions d where d.statement_id = line.statement_id and d.metric = line.metric order by d.decision_id desc limit 1);
    v_at     timestamptz := (
        select greatest(clock_timestamp(), w.watermark + interval '1 microsecond') from sealed_subjects w where w.subject_id = v_header.subject_id);
    v_is_back boolean := v_back <> 0 and line.delta + v_back = 0;
    v_logged segment_usage[];
    v_before segment_usage[];
    v_billed segment_usage[];
    v_waived numeric := line.waived - v_back + case when _next_decisions.decision = 'waive' then line.delta + v_back else 0 end;
    v_is_all boolean := v_waived = 0 and (line.delta <> 0 or _next_decisions.decision = 'bill') and not exists (
        select from late_decisions d
        where d.statement_id = line.statement_id and d.metric = line.metric and d.decision = 'waive' and d.quantity = 0);
begin
    if v_header.basis is not null then
        v_logged := _with_added(_logged_segments(v_header, line.subject, line.metric), added);
        v_before := _decided_segments(v_header, line.metric, v_last.billed);
        v_billed := case
            when v_is_all then v_logged
            when _next_decisions.decision = 'waive' or v_is_back then v_before
            else _added_usage(v_before, v_logged, _decided_segments(v_header, line.metric, v_last.logged)) end;
    end if;
    return query
    select null::bigint, line.statement_id, null::bigint, v_at, _session_role(), line.metric, d.decision, d.quantity, _next_decisions.reason,
           to_jsonb(v_logged), to_jsonb(v_billed)
    from (values ('waive', - v_back), (_next_decisions.decision, line.delta + v_back)) d (decision, quantity)
    where d.quantity <> 0
    union all
    select null, line.statement_id, null, v_at, _session_role(), line.metric, _next_decisions.decision, 0, _next_decisions.reason,
           to_jsonb(v_logged), to_jsonb(v_billed)
    where line.delta = 0 or v_is_back and _next_decisions.decision = 'bill' and to_jsonb(v_billed) <> to_jsonb(v_before);
end
$$;

comment on function _next_decisions(late_line, text, text, segment_usage[]) is
    'The decisions that settle all that is open of a line: a negative delta first takes back what was waived; of usage that has only moved, the '
    'quantity is 0. added: what the log does not have yet, but the line does.';

create or replace function _decide_by_setting(sealed sealed_subjects[])
returns void
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_decision text := _setting_value('late_usage');
begin
    if v_decision <> 'ask' then
        perform _write_decisions(array(
            select d
            from _late_lines(array(
                select t.statement_id from unnest(sealed) w join statements t on t.subject_id = w.subject_id order by 1), null) l
            cross join lateral _next_decisions(l, v_decision, 'by the setting late_usage') d
            where l.delta <> 0 or _has_moved(l)));
    end if;
end
$$;

comment on function _decide_by_setting(sealed_subjects[]) is
    'Decides about all open late usage of subjects as the setting late_usage says, unless that is ask.';

create or replace function _is_decided(id bigint, metric text)
returns boolean
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return exists (select from late_decisions d where d.statement_id = id and d.metric = _is_decided.metric);
end
$$;

comment on function _is_decided(bigint, text) is 'Whether anything was decided about late usage of a metric of a statement.';
