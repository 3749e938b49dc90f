create or replace function _check_judging(now timestamptz, max_subjects integer)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if max_subjects is null then
        raise exception using errcode = '22004', message = 'max_subjects is null', column = 'max_subjects', hint = 'Give a number from 1 to 100000.';
    elsif max_subjects not between 1 and 100000 then
        raise exception using errcode = '22023', message = 'max_subjects is out of range', column = 'max_subjects',
            detail = format('max_subjects %s.', max_subjects), hint = 'Give a number from 1 to 100000, and call it again for the others.';
    elsif _check_judging.now > clock_timestamp() + interval '1 day' then
        raise exception using errcode = '22023', message = 'now is more than a day ahead of the clock', column = 'now',
            detail = format('now %s.', _check_judging.now), hint = 'Leave it out: nobody would be judged until then.';
    end if;
end
$$;

comment on function _check_judging(timestamptz, integer) is 'Raises 22004 or 22023 for a bad value of judge_budgets().';

-- Without the second condition, nobody would be judged for as long as the clock was set back, or a call was ahead of it.
create or replace function _is_due(judged_at timestamptz, now timestamptz)
returns boolean
language sql
volatile
set search_path from current
as $$
    select judged_at < now or judged_at > greatest(now, clock_timestamp())
$$;

comment on function _is_due(timestamptz, timestamptz) is
    'Whether a subject is to be judged at an instant: it was judged before, or it was by a clock that is set back.';

-- What another session judges is left to it.
create or replace function _due_judgements(now timestamptz, max_rows integer)
returns setof budget_judgements
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    select j.*
    from budget_judgements j
    where _is_due(j.judged_at, _due_judgements.now) and ((select _all_here()) or _is_home(j.subject))
    order by j.judged_at, j.subject
    limit _due_judgements.max_rows
    for no key update skip locked;
end
$$;

comment on function _due_judgements(timestamptz, integer) is 'Locks the subjects that were judged longest ago, before an instant.';

-- Everyone's budget needs a look through all series, so this is called when all that are known have been judged.
create or replace function _enroll_budgeted()
returns bigint
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_everyone boolean := exists (select from budgets b where b.subject is null and b.plan is null);
    v_count    bigint;
begin
    insert into budget_judgements (judged_at, valid_until, subject)
    select '-infinity', '-infinity', n.subject
    from (
        select b.subject from budgets b where b.subject is not null
        union
        select s.subject from subscriptions s where v_everyone or s.plan in (select b.plan from budgets b)
        union
        select s.subject from series s where v_everyone and s.stripe = 0
    ) n
    where not exists (select from budget_judgements j where j.subject = n.subject) and ((select _all_here()) or _is_home(n.subject))
    order by 3
    on conflict do nothing;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function _enroll_budgeted() is 'Makes rows of budget_judgements for subjects that may have a budget and have none; returns how many.';
