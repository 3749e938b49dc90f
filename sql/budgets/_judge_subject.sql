create or replace function _judge_subject(
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
    v_budgets  effective_budget[] := array(select b from _effective_budgets(_judge_subject.subject, _judge_subject.now) b);
    v_spending budget_spending[] := array(
        select s from _spending_of(_judge_subject.subject, v_budgets, _judge_subject.now, _judge_subject.is_known, _judge_subject.totals) s);
    v_news     budget_round := _no_round();
    v_blocked  boolean := exists (select from budget_spending s where s.subject = _judge_subject.subject and s.blocked <> '{}');
    v_blocks   boolean;
begin
    perform _forget_spending(_judge_subject.subject, v_budgets, _judge_subject.now);
    for n in 1 .. cardinality(v_budgets) loop
        v_news := _sum_rounds(v_news, _fire_budget_marks(v_budgets[n], (v_spending[n]).spent, false));
        if (v_budgets[n]).projected then
            v_news := _sum_rounds(v_news, _fire_budget_marks(v_budgets[n], (v_spending[n]).projected, true));
        end if;
        v_spending[n] := _judge_block(v_budgets[n], v_spending[n], _judge_subject.now);
    end loop;
    insert into budget_spending as o (since, until, judged_at, subject, currency, period, spent, projected, blocked)
    select s.since, s.until, s.judged_at, s.subject, s.currency, s.period, s.spent, s.projected, s.blocked from unnest(v_spending) s
    on conflict on constraint budget_spending_pkey do update set
        since = excluded.since, until = excluded.until, judged_at = excluded.judged_at, spent = excluded.spent,
        projected = excluded.projected, blocked = excluded.blocked;
    v_news.judged := 1;
    v_news.priced := (not _judge_subject.is_known)::integer;
    v_blocks := exists (select from unnest(v_spending) s where s.blocked <> '{}');
    v_news.blocked := (v_blocks and not v_blocked)::integer;
    v_news.released := (v_blocked and not v_blocks)::integer;
    update budget_judgements j set
        judged_at = _judge_subject.now, inputs = _judge_subject.inputs, is_blocked = v_blocks, sqlstate = null, message = null,
        valid_until = _budgets_valid_until(_judge_subject.subject, v_budgets, _judge_subject.now)
    where j.subject = _judge_subject.subject;
    return v_news;
end
$$;

comment on function _judge_subject(text, timestamptz, bigint, boolean, budget_total[]) is
    'Judges the budgets of a subject, whose row is locked. is_known: what was spent at the last judgement is spent still. Raises as invoice() does, '
    'and 55P03 if what it has to block or release is in use.';

-- An unknown total blocks nothing and releases nothing.
create or replace function _judge_block(budget effective_budget, spending budget_spending, now timestamptz)
returns budget_spending
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_spending budget_spending := spending;
    v_metrics  text[] := '{}';
begin
    if (budget).action = 'block' and v_spending.spent is null and v_spending.blocked <> '{}' then
        v_metrics := v_spending.blocked;
    elsif (budget).action = 'block' and v_spending.spent >= (budget).amount then
        v_metrics := _priced_metrics(v_spending.subject, v_spending.currency, v_spending.since, v_spending.until);
    end if;
    if v_metrics <> '{}' or v_spending.blocked <> '{}' then
        perform _set_budget_limits(v_spending, v_metrics, _judge_block.now);
    end if;
    v_spending.blocked := v_metrics;
    return v_spending;
end
$$;

comment on function _judge_block(effective_budget, budget_spending, timestamptz) is
    'Blocks a subject if a budget is spent, and releases it if it is not any more; returns what is blocked then.';

create or replace function _forget_spending(subject text, budgets effective_budget[], now timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_spending budget_spending;
begin
    for v_spending in
        select s.*
        from budget_spending s
        where s.subject = _forget_spending.subject and not exists (
            select from unnest(_forget_spending.budgets) b
            where b.currency = s.currency and b.period = s.period and b.since = s.since and b.until = s.until)
    loop
        -- By the clock: a judgement ahead of it must not leave today's block to nobody.
        if v_spending.blocked <> '{}' and v_spending.until > least(_forget_spending.now, clock_timestamp()) then
            perform _set_budget_limits(v_spending, '{}', _forget_spending.now);
        end if;
        delete from budget_spending s
        where s.subject = v_spending.subject and s.currency = v_spending.currency and s.period = v_spending.period;
    end loop;
    -- Not at once: a clock that is set back over the end of a period would have all of it told again.
    delete from fired_budget_marks f
    where f.subject = _forget_spending.subject
      and f.period_start < lower(_budget_period(f.period, f.subject, _forget_spending.now - interval '2 days'));
end
$$;

comment on function _forget_spending(text, effective_budget[], timestamptz) is
    'Releases what a budget has blocked that does not count any more, or whose period was moved, and deletes what is known of periods that are over.';
