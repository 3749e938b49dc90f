-- depends: 0022-focus
-- Statements that are sent to a biller as invoice items, line by line.

alter table billers add column sends text collate "C" not null default 'usage';
alter table billers add column statements_since timestamptz;
alter table billers add constraint sends_is_known check (sends in ('usage', 'statements'));
comment on column billers.sends is 'What it is told: usage (of mapped metrics) or statements (each line with an amount is an invoice item).';
comment on column billers.statements_since is 'Statements of periods that begin earlier are not sent; null: those closed since sends became statements are.';

create table unbilled_statements (
    statement_id     bigint  not null,
    subject_id       integer not null,
    customer_missing boolean not null default false,
    biller           text    collate "C" not null,

    constraint unbilled_statements_pkey primary key (biller, subject_id, statement_id)
);

create index unbilled_statements_to_plan on unbilled_statements (biller, statement_id) where not customer_missing;

comment on table unbilled_statements is
    'The queue of statements: plan_pushes() has yet to make pushes of their lines. Written in the transaction that closes the period.';
comment on column unbilled_statements.statement_id is 'The statement.';
comment on column unbilled_statements.subject_id is 'Whose: a row of sealed_subjects.';
comment on column unbilled_statements.customer_missing is 'Whether planning has found that the subject has no customer; a mapping ends that.';
comment on column unbilled_statements.biller is 'Who is to be told.';

alter table pushes
    add column statement_id bigint, add column line integer, add column description text,
    add column since timestamptz, add column until timestamptz;
alter table pushes add constraint items_are_lines
    check (mode <> 'item' or num_nulls(statement_id, line, description, since, until) = 0) not valid;
comment on column pushes.metric is 'What was consumed; of an invoice item, its currency.';
comment on column pushes.bucket_start is
    'The bucket whose usage this is a part of, as in reported; of an invoice item, the last second of the statement''s period.';
comment on column pushes.mode is 'How it was planned: delta, event or last; item: it is a line of a statement.';
comment on column pushes.event_name is 'The biller''s name of the metric, sent; of an invoice item, the currency in small letters.';
comment on column pushes.value is 'The quantity, sent as its exact decimal text; of an invoice item, the amount in the biller''s minor units.';
comment on column pushes.stamped_at is 'The usage''s time in whole seconds, sent; of an invoice item, when the period was closed.';
comment on column pushes.reason is
    'Why it is held, left, rejected or replaced: too_old, negative, late, too_many_digits, ambiguous (another subject or metric has a value '
    'of mode last for the same customer, event name and period), inexact (the biller has no such amount), unknown_total (another line of the '
    'statement has no amount), refused, failed, absent, retried or superseded. '
    'late on any other push: the grace of its period had passed when it was planned.';
comment on column pushes.statement_id is 'Of an invoice item: the statement. Null otherwise, as are the next four.';
comment on column pushes.line is 'The line of the statement.';
comment on column pushes.description is 'What the customer reads, sent.';
comment on column pushes.since is 'The start of the line''s period, sent in whole seconds.';
comment on column pushes.until is 'The end (exclusive) of the line''s period; the last second of it is sent.';

-- One push for each line; those that replace one another are one.
create unique index pushes_by_line on pushes (subject, biller, statement_id, line) where statement_id is not null and replaces is null;

drop trigger pushes_send_what_was_planned on pushes;
create trigger pushes_send_what_was_planned
    before update of push_id, subject, metric, biller, bucket_start, event_id, mode, identifier, customer, event_name, value,
        stamped_at, statement_id, line, description, since, until on pushes
    for each row execute function _guard_push();

alter type planned_push
    add attribute statement_id bigint, add attribute line integer, add attribute description text, add attribute since timestamptz,
    add attribute until timestamptz;
comment on type planned_push is
    'What plan_pushes() would write: the push, the state that it would begin in (planned, held or left) and the reason. statement_id, line, '
    'description, since and until: of an invoice item.';

alter type claimed_push
    add attribute statement_id bigint, add attribute line integer, add attribute description text, add attribute since timestamptz,
    add attribute until timestamptz, add attribute statement_hash text;
comment on type claimed_push is
    'A push to be sent now, as it stands here and before leased_until; attempt goes back to settle_pushes() with its outcome. statement_id to '
    'statement_hash: of an invoice item.';

comment on type push_status is
    'How much of a metric is in a state: how many pushes, the sum of their values, and the earliest time that they are stamped with. metric: of a '
    'biller of statements, the currency.';

alter type report_journal add attribute sends text;
comment on type report_journal is
    'Where a biller''s journal lives. stopped: server, where it was used last, is not this_server, and nothing is planned or claimed. '
    'Usage of hours before doubtful_until is compared with the biller''s totals before it is sent. sends: usage or statements, as in billers.';
