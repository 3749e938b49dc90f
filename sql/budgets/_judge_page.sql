-- Nothing of most subjects has changed: they are done with one statement. What is blocked is looked at every time: a reservation that was
-- released, or usage that was taken back, must not open it. The digests are read before anything is priced, so a change in between is found by
-- the next judgement.
create or replace function _judge_page(due budget_judgements[], now timestamptz, give_up timestamptz)
returns budget_round
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_give_up timestamptz := give_up;
    v_found   bigint[] := _found_inputs(due);
    v_quiet   text[] := '{}';
    v_rest    integer[] := '{}';
    v_round   budget_round := _no_round();
    v_totals  budget_total[];
    v_one     budget_round;
    n         integer;
begin
    for n in 1 .. cardinality(due) loop
        if due[n].inputs = v_found[n] and _judge_page.now < due[n].valid_until and not due[n].is_blocked then
            v_quiet := v_quiet || due[n].subject;
        else
            v_rest := v_rest || n;
        end if;
    end loop;
    update budget_judgements j set judged_at = _judge_page.now where j.subject = any (v_quiet);
    v_round.judged := cardinality(v_quiet);
    v_round.remaining := cardinality(v_rest);
    for i in 1 .. cardinality(v_rest) loop
        exit when clock_timestamp() > v_give_up;
        if i % 100 = 1 then
            v_totals := _common_totals(array(
                select due[r.n].subject from unnest(v_rest[i : i + 99]) r (n)
                where (due[r.n].inputs = v_found[r.n] and _judge_page.now < due[r.n].valid_until) is not true), _judge_page.now);
        end if;
        n := v_rest[i];
        v_one := _judge_or_postpone(due[n].subject, _judge_page.now, v_found[n],
                                    coalesce(due[n].inputs = v_found[n], false) and _judge_page.now < due[n].valid_until,
                                    array(select t from unnest(v_totals) t where t.subject = due[n].subject));
        v_round := _sum_rounds(v_round, v_one);
        v_round.remaining := v_round.remaining - 1;
        if v_one.blocked + v_one.released > 0 then
            v_give_up := least(v_give_up, clock_timestamp() + interval '300 milliseconds');  -- somebody may wait from now on
        end if;
    end loop;
    return v_round;
end
$$;

comment on function _judge_page(budget_judgements[], timestamptz, timestamptz) is
    'Judges subjects whose rows are locked, until the time to give up; remaining: how many of them are left.';

create or replace function _found_inputs(due budget_judgements[])
returns bigint[]
language plpgsql
stable
set search_path from current
set jit to off
as $$
#variable_conflict use_column
begin
    return array(
        select i.inputs
        from unnest(due) with ordinality d (judged_at, valid_until, inputs, is_blocked, subject, sqlstate, message, n)
        join _budget_inputs(array(select d.subject from unnest(due) d)) i on i.subject = d.subject
        order by d.n);
end
$$;

comment on function _found_inputs(budget_judgements[]) is 'The digests of subjects, as they are now, in their order.';

create or replace function _judge_or_postpone(
    subject text, now timestamptz, inputs bigint, is_known boolean, totals budget_total[]
)
returns budget_round
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_round   budget_round;
    v_code    text;
    v_message text;
begin
    return _judge_subject(_judge_or_postpone.subject, _judge_or_postpone.now, _judge_or_postpone.inputs, _judge_or_postpone.is_known,
                          _judge_or_postpone.totals);
exception when others then
    v_code := sqlstate;
    v_message := sqlerrm;
    update budget_judgements j set judged_at = _judge_or_postpone.now, inputs = null, sqlstate = v_code, message = v_message
    where j.subject = _judge_or_postpone.subject;
    v_round := _no_round();
    v_round.judged := 1;
    v_round.failed := 1;
    return v_round;
end
$$;

comment on function _judge_or_postpone(text, timestamptz, bigint, boolean, budget_total[]) is
    'Judges a subject; if that fails, nothing of it is changed, and the reason is kept.';
