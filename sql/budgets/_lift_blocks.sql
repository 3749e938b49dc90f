-- By what the last judgement has found: nothing is priced here. What a budget of a plan or of everyone blocks is left to the next judgement.
create or replace function _lift_blocks(subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
set lock_timeout to '2s'
as $$
#variable_conflict use_column
declare
    v_now      timestamptz := clock_timestamp();
    v_spending budget_spending;
begin
    perform from budget_judgements j where j.subject = _lift_blocks.subject for no key update;
    for v_spending in
        select s.*
        from budget_spending s
        left join _effective_budgets(_lift_blocks.subject, v_now) b on b.currency = s.currency and b.period = s.period
        where s.subject = _lift_blocks.subject and s.blocked <> '{}' and s.until > v_now
          and (b.action = 'block' and (s.spent is null or s.spent >= b.amount)) is not true
    loop
        perform _set_budget_limits(v_spending, '{}', v_now);
        update budget_spending s set blocked = '{}'
        where s.subject = v_spending.subject and s.currency = v_spending.currency and s.period = v_spending.period;
    end loop;
exception when lock_not_available then
    null;  -- the next judgement does it
end
$$;

comment on function _lift_blocks(text) is
    'Ends the limits of a subject that no budget asks for any more. If the subject is in use, it is left to the next judgement.';

-- The limits end with the cycle that was when they were set. A judgement moves an end that is too early; until it comes, nobody of the next cycle
-- may be refused. The caller has locked what limits the subject, and makes recording look anew at it.
create or replace function _cut_blocks(subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_now   timestamptz := clock_timestamp();
    v_until timestamptz;
begin
    if not exists (select from budget_spending s where s.subject = _cut_blocks.subject and s.period = 'cycle' and s.blocked <> '{}') then
        return;
    end if;
    v_until := upper(_cycle_at(_cut_blocks.subject, v_now));
    insert into limits (metric, name, period, subject, since, quota, action, marks, removed)
    select (v.held).metric, (v.held).name, 'cycle', (v.held).subject, v_until, (v.held).quota, 'block', '{}', true
    from budget_spending s
    cross join lateral unnest(s.blocked) k
    cross join lateral (
        select _limit_version(k, _budget_limit_name(s.currency), 'cycle', s.subject, null, v_until) as held offset 0
    ) v
    where s.subject = _cut_blocks.subject and s.period = 'cycle' and s.until > v_until and not (v.held).removed
    order by 1, 2;
end
$$;

comment on function _cut_blocks(text) is
    'Ends the limits that spent budgets have set with the running cycle, which has become shorter.';
