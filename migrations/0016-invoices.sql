-- depends: 0015-prices
-- Rate cards: versions of the lines of plans, and of their minimums, in two times: from when they hold, and when they were recorded. So an invoice
-- as of a watermark has the prices that were known then.

insert into locks (name) values ('prices') on conflict do nothing;

alter table plans add column currency text collate "C";
comment on column plans.currency is 'The currency of its prices, ISO 4217, fixed with the first one; null: it has no price yet.';

create sequence price_ids as bigint;
comment on sequence price_ids is 'Numbers versions of prices and minimums of plans in the order in which they were recorded. Gaps mean nothing.';

create table plan_prices (
    price_id           bigint      not null default nextval('price_ids'),
    since              timestamptz not null,
    recorded_at        timestamptz not null,
    prorate            boolean     not null,
    plan               text        collate "C" not null,
    item               text        collate "C" not null,
    subject            text        collate "C",
    metric             text        collate "C",
    name               text        collate "C",
    currency           text        collate "C" not null,
    bill               text        collate "C" not null,
    tiers_after_change text        collate "C" not null,
    recorded_by        text        collate "C" not null,
    price              jsonb,

    constraint plan_prices_pkey primary key (price_id),
    constraint bill_is_known check (bill in ('advance', 'arrears')),
    constraint tiers_after_change_is_known check (tiers_after_change in ('continue', 'restart'))
);

create index plan_prices_by_item on plan_prices (plan, subject, item, since, price_id);

comment on table plan_prices is
    'Versions of the lines of plans. Append-only. At an instant, of the versions of a plan, item and subject that have begun, the one holds that '
    'begins last, and of these the one that was recorded last. A subject''s own line replaces the plan''s.';
comment on column plan_prices.price_id is 'Identifies the version: price_version elsewhere.';
comment on column plan_prices.since is 'From when it holds; -infinity: from the beginning.';
comment on column plan_prices.recorded_at is 'When it was recorded: later than every watermark that was drawn without it.';
comment on column plan_prices.prorate is 'Of a fee: whether a part of a cycle costs a part of it.';
comment on column plan_prices.plan is 'A key of plans.';
comment on column plan_prices.item is 'The key of the line within the plan.';
comment on column plan_prices.subject is 'Whose line; null: of everybody who has the plan.';
comment on column plan_prices.metric is 'What is priced: a key of metrics; null: a fixed fee.';
comment on column plan_prices.name is 'A title for people; null when the key says enough.';
comment on column plan_prices.currency is 'ISO 4217; that of the plan.';
comment on column plan_prices.bill is 'Of a fee: advance (with the invoice of the cycle before) or arrears.';
comment on column plan_prices.tiers_after_change is
    'Whether the quantity of the same cycle that earlier versions have billed counts in the tiers of this one: continue, or restart.';
comment on column plan_prices.recorded_by is 'The role that recorded it.';
comment on column plan_prices.price is 'The price, as rate() takes it; null: the line ends here.';

create table plan_minimums (
    minimum_id  bigint      not null default nextval('price_ids'),
    since       timestamptz not null,
    recorded_at timestamptz not null,
    plan        text        collate "C" not null,
    recorded_by text        collate "C" not null,
    amount      numeric,

    constraint plan_minimums_pkey primary key (minimum_id),
    constraint amount_is_not_negative check (amount >= 0)
);

create index plan_minimums_by_plan on plan_minimums (plan, since, minimum_id);

comment on table plan_minimums is 'Versions of what a cycle of a plan costs at least. Append-only, and read as plan_prices is.';
comment on column plan_minimums.minimum_id is 'Identifies the version.';
comment on column plan_minimums.since is 'From when it holds; -infinity: from the beginning.';
comment on column plan_minimums.recorded_at is 'As in plan_prices.';
comment on column plan_minimums.plan is 'A key of plans.';
comment on column plan_minimums.recorded_by is 'The role that recorded it.';
comment on column plan_minimums.amount is 'How much a whole cycle costs at least, in the currency of the plan; null: no minimum.';

-- Subscriptions and cycles are changed in place. What they were at a watermark is kept beside them.

create sequence history_ids as bigint;
comment on sequence history_ids is 'Numbers the rows of subscription_history and cycle_history. Gaps mean nothing.';

create table subscription_history (
    history_id  bigint        not null default nextval('history_ids'),
    recorded_at timestamptz   not null,
    subject     text          collate "C" not null,
    plans       text[]        collate "C" not null,
    starts      timestamptz[] not null,
    ends        timestamptz[] not null,

    constraint subscription_history_pkey primary key (subject, recorded_at, history_id)
);

comment on table subscription_history is 'All subscriptions of a subject, after each change. Append-only.';
comment on column subscription_history.history_id is 'Ascending in the order of the changes of a subject.';
comment on column subscription_history.recorded_at is 'When it was changed: later than every watermark of the subject that was drawn without it.';
comment on column subscription_history.subject is 'Whose subscriptions.';
comment on column subscription_history.plans is 'The plan of each subscription.';
comment on column subscription_history.starts is 'From when, for each of them.';
comment on column subscription_history.ends is 'Until when (exclusive), for each of them; a null element: open.';

create table cycle_history (
    history_id  bigint        not null default nextval('history_ids'),
    recorded_at timestamptz   not null,
    subject     text          collate "C" not null,
    starts      timestamptz[] not null,
    anchors     timestamptz[] not null,
    timezones   text[]        collate "C" not null,
    lengths     text[]        collate "C" not null,

    constraint cycle_history_pkey primary key (subject, recorded_at, history_id)
);

comment on table cycle_history is 'All rules of a subject''s billing cycles, after each change. Append-only.';
comment on column cycle_history.history_id is 'Ascending in the order of the changes of a subject.';
comment on column cycle_history.recorded_at is 'As in subscription_history.';
comment on column cycle_history.subject is 'Whose cycles.';
comment on column cycle_history.starts is 'The since of each rule, as in billing_cycles.';
comment on column cycle_history.anchors is 'The anchor of each rule.';
comment on column cycle_history.timezones is 'The time zone of each rule.';
comment on column cycle_history.lengths is 'The length of the cycles of each rule: week, month or year.';

insert into subscription_history (recorded_at, subject, plans, starts, ends)
select '-infinity', s.subject, array_agg(s.plan order by s.since, s.plan), array_agg(s.since order by s.since, s.plan),
       array_agg(s.until order by s.since, s.plan)
from subscriptions s
group by 2;

insert into cycle_history (recorded_at, subject, starts, anchors, timezones, lengths)
select '-infinity', c.subject, array_agg(c.since order by c.since), array_agg(c.anchor order by c.since), array_agg(c.timezone order by c.since),
       array_agg(c.every order by c.since)
from billing_cycles c
group by 2;

create type plan_price as (
    price_version bigint, plan text, item text, metric text, name text, subject text, price jsonb, currency text, bill text, prorate boolean,
    tiers_after_change text, since timestamptz, recorded_at timestamptz, recorded_by text);
comment on type plan_price is
    'A version of a line of a plan. metric null: a fixed fee. subject null: of everybody who has the plan. price null: the line ends with since. '
    'since null: it holds from the beginning.';

create type plan_minimum as (
    plan text, amount numeric, currency text, since timestamptz, recorded_at timestamptz, recorded_by text);
comment on type plan_minimum is
    'What a whole cycle of a plan costs at least, in currency, from since on; since null: from the beginning. amount null: no minimum.';

create type invoice_line as (
    item text, metric text, kind text, since timestamptz, until timestamptz, quantity numeric, unit text, unit_amount numeric,
    exact_amount numeric, amount numeric, currency text, price_version bigint, explanation text, plan text, tier integer, flat_amount numeric,
    event_count bigint, name text, late_of bigint);
comment on type invoice_line is
    'A line of an invoice. kind: usage, fee, discount, true_up, late or total (one for each currency, at the end). exact_amount: not rounded; '
    'amount: in decimals of the currency, so that the lines add up to the total. Both are null if no price says what the quantity costs; a usage line '
    'without an item is of usage that no plan of the subject has a price for. unit_amount, flat_amount, tier: those of the price, see rate(). '
    'event_count: of the events of the segment, in its first line. price_version: the version of the plan''s line. late_of: of a late line, the '
    'statement of the period that it belongs to; quantity and amounts are then how much more or less than had been stated and billed.';

-- What invoices are computed with.

create type invoice_cycle as (
    since timestamptz, until timestamptz, whole_since timestamptz, whole_until timestamptz, timezone text);
comment on type invoice_cycle is
    'A billing cycle [since, until); whole_since and whole_until: what it would be if no other rule of cycles cut it.';

create type invoice_scope as (
    subject text, since timestamptz, until timestamptz, as_of timestamptz, known_at timestamptz, is_cycle boolean, ends_cycle boolean,
    cycles invoice_cycle[], next_cycle invoice_cycle, part_starts timestamptz[], part_weights numeric[], cycle_weight numeric);
comment on type invoice_scope is
    'What an invoice is of: the window [since, until) of a subject, with what was known at known_at (infinity: now; as_of is null). is_cycle: the '
    'window is a billing cycle; ends_cycle: it ends with one. cycles: those that have a part in the window; next_cycle: the one that contains until. '
    'part_starts, part_weights, cycle_weight: as in statements.';

create type invoice_segment as (
    plan text, item text, subscribed_at timestamptz, since timestamptz, until timestamptz, price_version bigint, metric text, name text,
    price jsonb, currency text, bill text, prorate boolean, tiers_after_change text);
comment on type invoice_segment is
    'A time [since, until) in which a subject has a plan and one version of a line of it holds. subscribed_at: the start of the subscription. '
    'plan, item and price null: no plan has a price for the metric in this time.';

create type segment_usage as (segment integer, event_count bigint, quantity numeric, combinations jsonb);
comment on type segment_usage is
    'What was used in a segment, which is given by its position. quantity: of a sum or count, how much; else the value, not weighed by time. '
    'combinations: for a matrix, the usage of each combination of values of metadata, here and (billed, billed_events) in the segments before.';

create type metric_usage as (
    statement_id bigint, metric text, aggregate text, unit text, event_count bigint, quantity numeric);
comment on type metric_usage is 'What a period, whose statement it is, holds of a metric.';

create type billed_fee as (
    plan text, item text, since timestamptz, until timestamptz, amount numeric, currency text, price_version bigint, name text, statement_id bigint,
    cycle timestamptz, is_next boolean);
comment on type billed_fee is
    'A fee that an earlier statement has billed for a cycle of the window, or (is_next) for the one after it. cycle: when that starts.';

create type invoice_minimum as (
    plan text, since timestamptz, until timestamptz, amount numeric, currency text, billed numeric);
comment on type invoice_minimum is
    'What a plan costs at least in a window. billed: what earlier statements have billed of it in advance.';

create type invoice_basis as (
    scope invoice_scope, segments invoice_segment[], usage segment_usage[], fees invoice_line[], minimums invoice_minimum[], currencies text[],
    by_line boolean);
comment on type invoice_basis is
    'All that the lines of an invoice are computed from. currencies: those that have a total in any case; by_line: the setting rounding.';

comment on column statements.part_weights is
    'How long each part is, in seconds, of which each day of the cycle''s time zone has 86400, whether it has 23, 24 or 25 hours.';

-- Statements in money. Those of subjects without prices stay as they were, in format 1.

alter table statements add column usage jsonb;
alter table statements add column basis jsonb;
comment on column statements.usage is
    'How much was used of each metric: an object of its event_count and quantity; null: the usage lines say so.';
comment on column statements.basis is
    'What the amounts were computed from (invoice_basis, without the subject): prices, usage, fees, minimums, and the decisions about late usage '
    'since the statement before; null: there were no prices.';

alter table statement_lines
    alter column event_count drop not null, alter column metric drop not null, alter column aggregate drop not null,
    alter column unit drop not null, alter column quantity drop not null,
    add column price_version bigint, add column tier integer, add column plan text collate "C", add column item text collate "C",
    add column name text collate "C", add column currency text collate "C", add column unit_amount numeric, add column flat_amount numeric,
    add column exact_amount numeric, add column amount numeric, add column explanation text;
alter table statement_lines drop constraint kind_is_known;
alter table statement_lines add constraint kind_is_known check (kind in ('usage', 'fee', 'discount', 'true_up', 'late', 'credit', 'tax', 'total'));
comment on column statement_lines.event_count is 'How many events the quantity is of, in the first line of them; 0 for a late line.';
comment on column statement_lines.kind is
    'As in invoice_line. usage: of the statement''s own period; late: of an earlier one, billed with this statement.';
comment on column statement_lines.metric is 'What was consumed: a key of metrics; null: a fee, a minimum or a total.';
comment on column statement_lines.aggregate is 'The metric''s aggregate.';
comment on column statement_lines.unit is 'The metric''s unit; null where the quantity is in another one.';
comment on column statement_lines.quantity is 'How much; of a late line, how much more or less than had been stated.';
comment on column statement_lines.price_version is 'As in invoice_line.';
comment on column statement_lines.tier is 'As in invoice_line.';
comment on column statement_lines.plan is 'As in invoice_line.';
comment on column statement_lines.item is 'As in invoice_line.';
comment on column statement_lines.name is 'As in invoice_line.';
comment on column statement_lines.currency is 'ISO 4217; null: no price.';
comment on column statement_lines.unit_amount is 'As in invoice_line.';
comment on column statement_lines.flat_amount is 'As in invoice_line.';
comment on column statement_lines.exact_amount is 'As in invoice_line.';
comment on column statement_lines.amount is 'As in invoice_line.';
comment on column statement_lines.explanation is 'As in invoice_line.';

alter table late_decisions add column logged jsonb, add column billed jsonb;
comment on column late_decisions.logged is
    'What the log then said of each segment of the metric (segment_usage); null: the statement has no basis, or the log was dropped.';
comment on column late_decisions.billed is 'That part of it which is stated or to be billed, after this decision; null as in logged.';

alter type statement_line
    add attribute item text, add attribute unit_amount numeric, add attribute exact_amount numeric, add attribute amount numeric,
    add attribute currency text, add attribute price_version bigint, add attribute explanation text, add attribute plan text,
    add attribute tier integer, add attribute flat_amount numeric, add attribute name text;
comment on type statement_line is
    'A line of a statement, as invoice() has it. kind late: of an earlier period, whose statement late_of is; quantity and amounts are then how much '
    'more or less than had been stated and billed. aggregate: that of the metric.';

create type new_statement as (header statements, lines statement_lines[]);
comment on type new_statement is 'A statement that is to be written.';

alter type late_line add attribute amount numeric, add attribute currency text;
comment on type late_line is
    'Usage that came after its period was closed. stated: what the statement says; current: what the log says now; billed, waived: what has been '
    'decided; delta: what has not, so that current = stated + billed + waived + delta. amount: what delta costs at the prices of the statement, '
    'in currency; null: unknown, or there were no prices.';

alter type statement_header add attribute totals jsonb;
comment on type statement_header is
    'A closed period [since, until) of a subject: it holds what had been recorded up to watermark. hash: SHA-256 of the statement''s text, '
    'hexadecimal; previous_hash: that of the subject''s previous statement, null for the first one. lines: how many statement() returns. totals: an '
    'object of the total of each currency, as text, null where it is unknown; empty without prices.';

alter type closing add attribute totals jsonb;
comment on type closing is
    'What close_due() did with a period. outcome: closed (statement_id is its statement, totals are those of it) or postponed (sqlstate and message '
    'say why: it is tried again by a later call).';

alter type late_settlement add attribute amount numeric, add attribute currency text;
comment on type late_settlement is
    'What settle_late_usage() did. outcome: settled, duplicate (nothing was left to decide) or conflict (the delta has moved: it is returned). '
    'billed, waived: all that is decided of this line. amount: what this decision adds to the next statement, in currency; null: nothing, unknown, '
    'or there were no prices.';

alter type correction_effect add attribute currency text;
comment on type correction_effect is
    'What a correction changes in one period [since, until) of a metric; until is null if the period never ends. before and after: the quantity. '
    'closed: whether a statement holds the period. reported: whether some of its usage has been planned for a biller. limits: the names of limits '
    'whose usage goes from below the quota to at least the quota, or back. amount: how much more or less it costs, in currency: where no statement '
    'holds the usage, by how much the invoice of its billing cycle changes, after the rows before; where one does, by how much the amount of its '
    'late usage changes; both before credits and taxes; null: unknown, or there are no prices.';

create type effect_piece as (
    effect bigint, metric text, since timestamptz, until timestamptz, before numeric, after numeric, steps correction_step[]);
comment on type effect_piece is
    'What a correction changes in the period [since, until) of a metric of a subject, and (steps) what it writes there, or in one window of it. '
    'effect: the position of the row that preview_correction() returns. until: infinity for a period that never ends.';

create type effect_amount as (effect bigint, amount numeric, currency text);
comment on type effect_amount is
    'By how much a row of preview_correction() changes a total of an invoice, or late usage, in one currency; amount null: unknown.';

create type billed_window as (since timestamptz, until timestamptz, statement_id bigint);
comment on type billed_window is
    'A time of a subject that is billed as one: that of a statement, or what statements have left of a billing cycle (statement_id null).';
