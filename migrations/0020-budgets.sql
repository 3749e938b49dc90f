-- depends: 0019-projections
-- Budgets: how much money subjects may be billed in a period, and what judgements have found.

insert into locks (name) values ('budgets') on conflict do nothing;

create sequence budget_ids as bigint;
comment on sequence budget_ids is 'Numbers versions of budgets in the order in which they were written. Gaps mean nothing.';

create table budgets (
    budget_id  bigint      not null default nextval('budget_ids'),
    subject    text        collate "C",
    plan       text        collate "C",
    currency   text        collate "C" not null,
    period     text        collate "C" not null,
    since      timestamptz not null,
    amount     numeric,
    action     text        collate "C" not null,
    marks      numeric[]   not null,
    projected  boolean     not null default false,
    removed    boolean     not null default false,
    created_at timestamptz not null default now(),

    constraint budgets_pkey primary key (budget_id),
    constraint action_is_known check (action in ('block', 'alert', 'none')),
    constraint subject_or_plan check (subject is null or plan is null),
    constraint amount_is_not_negative check (amount >= 0)
);

create index budgets_by_scope on budgets (subject, plan, currency, period, since);

comment on table budgets is
    'The versions of budgets. A version replaces the earlier ones of the same subject, plan, currency and period from since on; none is ever '
    'changed.';
comment on column budgets.budget_id is 'Identifies the version.';
comment on column budgets.subject is 'Whose budget; null: a plan''s or everyone''s.';
comment on column budgets.plan is 'The budget of every subject that has this plan; null: a subject''s or everyone''s.';
comment on column budgets.currency is 'ISO 4217: it counts what is billed in this currency.';
comment on column budgets.period is 'A calendar unit (day to year, UTC), or cycle.';
comment on column budgets.since is 'From when the version holds.';
comment on column budgets.amount is 'How much may be spent in a period; null: unlimited.';
comment on column budgets.action is 'What happens when it is spent: block refuses events, alert only notifies, none does neither.';
comment on column budgets.marks is 'Percentages of the amount at which a notification is written.';
comment on column budgets.projected is 'Whether the total that is expected at the end of the cycle is compared with the marks, too.';
comment on column budgets.removed is 'Whether this version ends the budget.';
comment on column budgets.created_at is 'When the version was written.';

create table budget_judgements (
    judged_at   timestamptz not null,
    valid_until timestamptz not null,
    inputs      bigint,
    is_blocked  boolean     not null default false,
    subject     text        collate "C" not null,
    sqlstate    text        collate "C",
    message     text        collate "C",

    constraint budget_judgements_pkey primary key (subject)
) with (fillfactor = 70);

comment on table budget_judgements is 'When each subject with a budget was judged last. Its columns but the key change with every judgement.';
comment on column budget_judgements.judged_at is 'The now of the last judgement; -infinity: none yet.';
comment on column budget_judgements.valid_until is
    'Until when it holds if nothing changes: a period ends then, or another version or subscription begins.';
comment on column budget_judgements.inputs is 'A digest of what it was computed from; null: it failed, or nothing was judged yet.';
comment on column budget_judgements.is_blocked is 'Whether a limit was set because a budget is spent.';
comment on column budget_judgements.subject is 'Who was judged.';
comment on column budget_judgements.sqlstate is 'Why it failed; null: it did not.';
comment on column budget_judgements.message is 'Why it failed, for people.';

create table budget_spending (
    since     timestamptz not null,
    until     timestamptz not null,
    judged_at timestamptz not null,
    subject   text        collate "C" not null,
    currency  text        collate "C" not null,
    period    text        collate "C" not null,
    spent     numeric,
    projected numeric,
    blocked   text[]      collate "C" not null default '{}',

    constraint budget_spending_pkey primary key (subject, currency, period)
);

comment on table budget_spending is 'What the last judgement has found of each budget of a subject.';
comment on column budget_spending.since is 'The start of the period.';
comment on column budget_spending.until is 'The end (exclusive) of the period.';
comment on column budget_spending.judged_at is 'When it was found.';
comment on column budget_spending.subject is 'Whose.';
comment on column budget_spending.currency is 'Of which currency.';
comment on column budget_spending.period is 'The period of the budget, as in budgets.';
comment on column budget_spending.spent is 'The total of the invoice of the period; null: unknown.';
comment on column budget_spending.projected is 'The expected total at the end of the cycle; null: unknown, or not asked for.';
comment on column budget_spending.blocked is 'The metrics whose events a limit refuses because the budget is spent.';

create table fired_budget_marks (
    period_start timestamptz not null,
    fired_at     timestamptz not null default now(),
    is_projected boolean     not null,
    subject      text        collate "C" not null,
    currency     text        collate "C" not null,
    period       text        collate "C" not null,
    mark         numeric     not null,

    constraint fired_budget_marks_pkey primary key (subject, currency, period, period_start, is_projected, mark)
);

comment on table fired_budget_marks is 'Which marks of a budget have fired in a period, so that none fires twice.';
comment on column fired_budget_marks.period_start is 'The start of the period.';
comment on column fired_budget_marks.fired_at is 'When it fired.';
comment on column fired_budget_marks.is_projected is 'Whether it is the projected total that has reached it.';
comment on column fired_budget_marks.subject is 'Whose spending.';
comment on column fired_budget_marks.currency is 'Of which currency.';
comment on column fired_budget_marks.period is 'The period of the budget, as in budgets.';
comment on column fired_budget_marks.mark is 'The percentage.';

create type effective_budget as (
    budget_id bigint, subject text, currency text, period text, source text, plan text, amount numeric, action text, marks numeric[],
    projected boolean, since timestamptz, until timestamptz);
comment on type effective_budget is
    'A budget that counts for a subject, with its period [since, until). source: subject, plan or everyone.';

create type budget_status as (
    currency text, period text, since timestamptz, until timestamptz, amount numeric, spent numeric, remaining numeric, percent numeric,
    projected numeric, action text, marks numeric[], reached numeric[], blocked boolean, judged_at timestamptz, source text, plan text,
    budget_id bigint, reason text);
comment on type budget_status is
    'A budget of a subject, and how much of it is spent in the period [since, until). spent: the total of the invoice of that period, now; '
    'null: unknown, and reason says why. amount null: unlimited. projected: the total expected at the end of the cycle, as of judged_at; null: '
    'unknown, or not asked for. reached: the marks that have fired. blocked: whether events are refused. judged_at: when it was judged last; '
    'null: not yet in this period. source: subject, plan or everyone.';

create type budget_round as (
    judged_at timestamptz, judged bigint, priced bigint, approaching bigint, exceeded bigint, cleared bigint, blocked bigint, released bigint,
    failed bigint, remaining bigint);
comment on type budget_round is
    'What a call of judge_budgets() did. judged_at: its now. judged: how many subjects; priced: of how many of them the spending was computed anew. '
    'approaching, exceeded, cleared: how many marks below 100 % and from 100 % on were reached, and how many are not any more. blocked, released: '
    'subjects. failed: subjects that could not be judged. remaining: subjects that are still to be judged at this now.';

create type budget_total as (subject text, since timestamptz, until timestamptz, currency text, amount numeric);
comment on type budget_total is 'What a subject owes for a window in a currency; in all others, nothing.';
