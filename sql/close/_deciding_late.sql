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
    perform _enroll_subjects(array[_lock_sealed.subject]);
    perform from sealed_subjects s where s.subject = _lock_sealed.subject for update;
exception when lock_not_available then
    perform _raise_busy(format('subject %s', quote_literal(left(_lock_sealed.subject, 80))));
end
$$;

comment on function _lock_sealed(text) is 'Locks a subject against closing until the transaction ends. Raises 55P03 after 5 seconds.';

create or replace function _decide_late(line late_line, decision text, reason text)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_back numeric := least(greatest(- line.delta, 0), greatest(line.waived, 0));
begin
    insert into late_decisions (statement_id, decided_by, metric, decision, quantity, reason)
    select line.statement_id, _session_role(), line.metric, d.decision, d.quantity, _decide_late.reason
    from (values ('waive', - v_back), (_decide_late.decision, line.delta + v_back)) d (decision, quantity)
    where d.quantity <> 0;
end
$$;

comment on function _decide_late(late_line, text, text) is
    'Writes the decision about all that is open of a line. A negative delta first takes back what was waived.';

create or replace function _decide_by_setting(sealed sealed_subjects[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_decision text := _setting_value('late_usage');
begin
    if v_decision <> 'ask' then
        perform _decide_late(l, v_decision, 'by the setting late_usage')
        from _late_lines(array(
            select t.statement_id from unnest(sealed) w join statements t on t.subject_id = w.subject_id order by 1), null) l
        where l.delta <> 0;
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
