-- Recorders of a subject that is blocked or released wait until the transaction ends. So a call ends soon after the first of them, and in any case
-- after about a second.
create or replace function judge_budgets(now timestamptz default now(), max_subjects integer default 10000)
returns budget_round
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_now      timestamptz := coalesce(judge_budgets.now, now());
    v_round    budget_round := _no_round();
    v_page     budget_round;
    v_due      budget_judgements[];
    v_give_up  timestamptz := clock_timestamp() + interval '1 second';
    v_enrolled boolean := false;
begin
    if _is_open('judge_budgets') then perform _check_caller('judge_budgets'); end if;
    perform _check_read_committed('judging budgets'), _check_time('now', v_now), _check_judging(v_now, judge_budgets.max_subjects),
        _keep_homes();
    v_round.judged_at := v_now;
    if not exists (select from budgets) then
        return v_round;
    end if;
    while v_round.judged < judge_budgets.max_subjects and clock_timestamp() < v_give_up loop
        v_due := array(select j from _due_judgements(v_now, least(1000, judge_budgets.max_subjects - v_round.judged)::integer) j);
        if v_due = '{}' then
            v_enrolled := true;
            exit when _enroll_budgeted() = 0;
            continue;
        end if;
        v_page := _judge_page(v_due, v_now, v_give_up);
        v_round := _sum_rounds(v_round, v_page);
        exit when v_page.remaining > 0 or v_round.blocked + v_round.released > 0;
    end loop;
    v_round.remaining := (select count(*) from budget_judgements j
                              where _is_due(j.judged_at, v_now) and ((select _all_here()) or _is_home(j.subject)));
    if v_round.remaining = 0 and not v_enrolled then
        v_round.remaining := _enroll_budgeted();
    end if;
    return v_round;
end
$$;

comment on function judge_budgets(timestamptz, integer) is
    'Compares what every subject with a budget owes in the running period with its budgets: those that were judged longest ago first, at most '
    'max_subjects (1 to 100,000), and no more after about a second. Writes budget.approaching for a mark below 100 % that is reached, '
    'budget.exceeded from 100 % on, budget.cleared for one that is not reached any more; each once for a currency, period and mark. A subject '
    'whose budget with the action block is spent is refused further events (limited_by budget EUR), until the period ends or a later judgement '
    'finds that it is not spent any more. Spending is computed anew only for subjects of which something has changed. A total that is unknown '
    'changes nothing. Returns what was done; while remaining is above 0, commit, and call it again with judged_at as now. A subject that cannot '
    'be judged stays as it is and is tried again at the next now; budget_status() says why. now: no subject is judged twice for one now, or for '
    'an earlier one, unless the clock was set back. Call it every minute, as pymeter notify --watch does, or from cron. Raises 22004 or 22023 '
    'for a bad value, or for a now more than a day ahead of the clock, 25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: BEGIN; '
    'SELECT amount FROM meter.set_budget(100, ''EUR'', subject => ''acct_1''); SELECT judged, approaching, exceeded, remaining FROM '
    'meter.judge_budgets(); ROLLBACK;';
