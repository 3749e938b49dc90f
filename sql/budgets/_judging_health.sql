-- Polled with health(): everything is counted up to a bound. A subject whose recorders held its rows is judged a minute later, so it is no problem
-- that needs somebody: unless nobody is judged at all, this is a notice.
-- A budget that nobody has, or that was removed, needs no judge: but for what it still blocks.
create or replace function _awaits_judgement(now timestamptz)
returns boolean
language sql
stable
set search_path from current
as $$
    select exists (select from budget_judgements j where j.is_blocked and ((select _all_here()) or _is_home(j.subject)))
        or exists (
            select
            from (
                select distinct on (b.subject, b.plan, b.currency, b.period) b.*
                from budgets b
                where b.since <= _awaits_judgement.now
                order by b.subject, b.plan, b.currency, b.period, b.since desc, b.budget_id desc
            ) b
            where not b.removed and b.action <> 'none'
              and case when b.subject is not null then ((select _all_here()) or _is_home(b.subject))
                       when b.plan is not null then exists (
                           select from subscriptions s where s.plan = b.plan and ((select _all_here()) or _is_home(s.subject)))
                       else exists (select from series) or exists (select from subscriptions) end)
$$;

comment on function _awaits_judgement(timestamptz) is
    'Whether judge_budgets() has somebody to judge: who may have a budget that holds, or whom one has blocked.';

create or replace function _judging_problems(now timestamptz)
returns setof text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_late    timestamptz := _judging_problems.now - interval '1 day';
    v_waiting timestamptz := (
        select min(b.created_at) from (select b.created_at from budgets b where b.action <> 'none' order by b.budget_id limit 1000) b);
begin
    -- One judgement of the last day is soon found, if there is one; which of all is the newest is not.
    if v_waiting < v_late and not exists (select from budget_judgements j where j.judged_at >= v_late)
       and _awaits_judgement(_judging_problems.now) then
        return next 'budgets have not been judged for a day: call judge_budgets() every minute';
    end if;
end
$$;

comment on function _judging_problems(timestamptz) is 'What keeps budgets from being judged at all.';

create or replace function _judging_notices()
returns setof text
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_found record;
begin
    select count(*) as number, min(format('%s: %s (%s)', quote_literal(left(j.subject, 80)), j.message, j.sqlstate)) as example into v_found
    from (select j.* from budget_judgements j where j.sqlstate is not null and ((select _all_here()) or _is_here(j.subject)) limit 10000) j;
    if v_found.number > 0 then
        return next format('subjects whose budgets could not be judged: %s, among them %s', v_found.number, v_found.example);
    end if;
    for v_found in select p.* from projection_rounds p where p.failed > 0 order by p.metric limit 10 loop
        return next format('subjects whose usage of %s could not be projected: %s, the last one: %s', v_found.metric, v_found.failed,
                           v_found.problem);
    end loop;
end
$$;

comment on function _judging_notices() is 'Subjects whose budgets or projected marks could not be judged the last time, and why.';
