-- depends: 0013-corrections
-- Closed periods: watermarks, statements, and what is decided about usage that comes later.

-- Copied from sealed_subjects, so that recording need not look there. Last in the row, after what changes with every event.
alter table series add column recorded_after timestamptz not null default '-infinity';
comment on column series.recorded_after is
    'What is recorded from now on gets at least this recorded_at: the last watermark of the subject and a microsecond, whatever the clock says.';

alter table metrics add column after_close text collate "C" not null default 'accept';
alter table metrics add constraint after_close_is_known check (after_close in ('accept', 'refuse'));
comment on column metrics.after_close is
    'What record() does with an event of a period that has been closed for the subject: accept (it is late usage) or refuse (UM004).';

-- A copy, so that nobody has to look into the log for what counted at a time. A row whose month was dropped counts as recorded long ago.
alter table event_kinds add column recorded_at timestamptz not null default '-infinity';
update event_kinds k set recorded_at = e.recorded_at
from events e
where e.series_id = k.series_id and e.at = k.at and e.event_id = k.event_id;
comment on column event_kinds.recorded_at is 'As in events.';

create sequence sealed_subject_ids as integer cache 1;
comment on sequence sealed_subject_ids is 'Numbers the subjects of statements. Gaps mean nothing.';

-- No statement has the text of its subject, but a digest of it with the salt. Erasing a subject removes text and salt from here.
create table sealed_subjects (
    watermark    timestamptz not null,
    due_at       timestamptz not null default '-infinity',
    postponed_at timestamptz not null default '-infinity',
    statements   bigint      not null default 0,
    subject_id   integer     not null default nextval('sealed_subject_ids'),
    subject      text        collate "C" not null,
    digest       bytea       not null,
    salt         bytea,
    last_hash    bytea,

    constraint sealed_subjects_pkey primary key (subject_id),
    constraint sealed_subjects_subject_key unique (subject)
);

create index sealed_subjects_due on sealed_subjects (postponed_at, due_at, subject_id);

comment on table sealed_subjects is 'The subjects whose log has been read up to a watermark, and which close_due() closes.';
comment on column sealed_subjects.watermark is
    'The last watermark: nothing of the subject can be recorded with a recorded_at up to it any more. -infinity: none was drawn.';
comment on column sealed_subjects.due_at is 'No cycle that close_due() has yet to close ends before this; -infinity: not known yet.';
comment on column sealed_subjects.postponed_at is 'When close_due() last could not close the subject; -infinity: it could.';
comment on column sealed_subjects.statements is 'How many statements the subject has.';
comment on column sealed_subjects.subject_id is 'Stands for the subject in statements.';
comment on column sealed_subjects.subject is 'Who consumes, as in series.';
comment on column sealed_subjects.digest is 'SHA-256 of the salt and the subject: what statements say instead of the subject.';
comment on column sealed_subjects.salt is 'Random bytes, so that nobody can find the subject by trying; null once the subject was erased.';
comment on column sealed_subjects.last_hash is 'The hash of the last statement; null without one.';

-- define_metric() locks it for a new metric; watermark() waits for that.
insert into locks (name) values ('new metric');

create sequence statement_ids as bigint cache 1;
comment on sequence statement_ids is 'Numbers statements. Gaps mean nothing.';

create table statements (
    statement_id  bigint      not null,
    since         timestamptz not null,
    until         timestamptz not null,
    closed_at     timestamptz not null,
    watermark     timestamptz not null,
    subject_id    integer     not null,
    format        smallint    not null,
    closed_by     text        collate "C" not null,
    part_starts   timestamptz[],
    part_weights  numeric[],
    cycle_weight  numeric,
    previous_hash bytea,
    hash          bytea       not null,

    constraint statements_pkey primary key (statement_id)
);

create unique index statements_by_subject on statements (subject_id, until);
create index statements_by_end on statements (until);

comment on table statements is 'Closed periods. Append-only: what arrives later is late usage, and never changes a statement.';
comment on column statements.statement_id is 'Identifies the statement.';
comment on column statements.since is 'The start of the period.';
comment on column statements.until is 'The end (exclusive) of the period.';
comment on column statements.closed_at is 'When it was closed.';
comment on column statements.watermark is 'It holds what had been recorded up to here.';
comment on column statements.subject_id is 'Whose period: a row of sealed_subjects.';
comment on column statements.format is 'The version of the text that is hashed.';
comment on column statements.closed_by is 'The role that closed it.';
comment on column statements.part_starts is
    'Where the parts of the period start whose values count by their share of the billing cycle; null if the period counts as a whole.';
comment on column statements.part_weights is 'How long each part is, in seconds of the clock of the cycle''s time zone.';
comment on column statements.cycle_weight is 'How long the whole cycle is, in the same seconds.';
comment on column statements.previous_hash is 'The hash of the subject''s previous statement; null for the first one.';
comment on column statements.hash is 'SHA-256 of the statement''s text, as statement_document() returns it.';

create table statement_lines (
    statement_id bigint      not null,
    late_of      bigint,
    event_count  bigint      not null,
    since        timestamptz not null,
    until        timestamptz not null,
    line         integer     not null,
    kind         text        collate "C" not null,
    metric       text        collate "C" not null,
    aggregate    text        collate "C" not null,
    unit         text        collate "C" not null,
    quantity     numeric     not null,

    constraint statement_lines_pkey primary key (statement_id, line),
    constraint kind_is_known check (kind in ('usage', 'late'))
);

create index statement_lines_late on statement_lines (late_of) where late_of is not null;

comment on table statement_lines is 'The lines of statements. Append-only.';
comment on column statement_lines.statement_id is 'The statement.';
comment on column statement_lines.late_of is 'Of a late line: the statement of the period that the usage belongs to. Null otherwise.';
comment on column statement_lines.event_count is 'How many events the quantity is of; 0 for a late line.';
comment on column statement_lines.since is 'The start of the period that the usage belongs to.';
comment on column statement_lines.until is 'Its end (exclusive).';
comment on column statement_lines.line is 'The position in the statement, from 1.';
comment on column statement_lines.kind is 'usage: of the statement''s own period; late: of an earlier one, billed with this statement.';
comment on column statement_lines.metric is 'What was consumed: a key of metrics.';
comment on column statement_lines.aggregate is 'The metric''s aggregate.';
comment on column statement_lines.unit is 'The metric''s unit.';
comment on column statement_lines.quantity is 'How much; of a late line, how much more or less than had been stated.';

create sequence late_decision_ids as bigint cache 1;
comment on sequence late_decision_ids is 'Numbers decisions about late usage. Gaps mean nothing.';

create table late_decisions (
    decision_id  bigint      not null default nextval('late_decision_ids'),
    statement_id bigint      not null,
    billed_on    bigint,
    decided_at   timestamptz not null default clock_timestamp(),
    decided_by   text        collate "C" not null,
    metric       text        collate "C" not null,
    decision     text        collate "C" not null,
    quantity     numeric     not null,
    reason       text,

    constraint late_decisions_pkey primary key (decision_id),
    constraint decision_is_known check (decision in ('bill', 'waive'))
);

create index late_decisions_by_line on late_decisions (statement_id, metric);
create index late_decisions_by_statement on late_decisions (billed_on);

comment on table late_decisions is 'What has been decided about usage that came after its period was closed.';
comment on column late_decisions.decision_id is 'Identifies the decision.';
comment on column late_decisions.statement_id is 'The statement of the period that the usage belongs to.';
comment on column late_decisions.billed_on is 'The statement that has it as a late line; null until there is one, and for what is waived.';
comment on column late_decisions.decided_at is 'When.';
comment on column late_decisions.decided_by is 'The role that decided, or that closed the next period under the setting late_usage.';
comment on column late_decisions.metric is 'Of which metric.';
comment on column late_decisions.decision is 'bill: on the next statement; waive: never.';
comment on column late_decisions.quantity is 'How much more, or less if negative.';
comment on column late_decisions.reason is 'Why; null if nothing was said.';

create table late_notices (
    statement_id bigint  not null,
    metric       text    collate "C" not null,
    quantity     numeric not null,

    constraint late_notices_pkey primary key (statement_id, metric)
);

comment on table late_notices is 'How much late usage of a line the last notification reported. A change is reported once.';
comment on column late_notices.statement_id is 'The statement.';
comment on column late_notices.metric is 'The metric.';
comment on column late_notices.quantity is 'The quantity of late usage, decided or not, that was told.';

create table dropped_late (
    statement_id bigint not null,

    constraint dropped_late_pkey primary key (statement_id)
);

comment on table dropped_late is
    'Statements that had late usage in months of the log that retention has dropped: the buckets still have it, and late_usage() looks there.';
comment on column dropped_late.statement_id is 'The statement.';

create table erasures (
    series_id   integer     not null,
    transaction xid8        not null,

    constraint erasures_pkey primary key (series_id)
);

comment on table erasures is
    'The series whose subject is being erased, by the transaction that does it: the log lets that transaction remove texts, and no other.';
comment on column erasures.series_id is 'The series.';
comment on column erasures.transaction is 'The transaction.';

-- The guard against UPDATE, DELETE and TRUNCATE. Until the functions are installed it fails closed.
create function _guard_statements() returns trigger language plpgsql as $$
begin
    raise exception using errcode = '55000', message = 'the functions are not installed', hint = 'Run: pymeter migrate';
end
$$;
comment on function _guard_statements() is 'Trigger: refuses to change or delete statements.';

create trigger statements_are_final before update or delete on statements for each row execute function _guard_statements();
create trigger statements_are_not_truncated before truncate on statements for each statement execute function _guard_statements();
create trigger lines_are_final before update or delete on statement_lines for each row execute function _guard_statements();
create trigger lines_are_not_truncated before truncate on statement_lines for each statement execute function _guard_statements();
alter table statements enable always trigger statements_are_final;
alter table statements enable always trigger statements_are_not_truncated;
alter table statement_lines enable always trigger lines_are_final;
alter table statement_lines enable always trigger lines_are_not_truncated;

create type statement_header as (
    statement_id bigint, subject text, since timestamptz, until timestamptz, closed_at timestamptz, watermark timestamptz,
    previous_hash text, hash text, lines bigint, closed_by text);
comment on type statement_header is
    'A closed period [since, until) of a subject: it holds what had been recorded up to watermark. hash: SHA-256 of the statement''s text, '
    'hexadecimal; previous_hash: that of the subject''s previous statement, null for the first one. lines: how many statement() returns.';

create type statement_line as (
    line integer, kind text, metric text, quantity numeric, unit text, aggregate text, event_count bigint, since timestamptz, until timestamptz,
    late_of bigint);
comment on type statement_line is
    'A line of a statement. kind usage: of the statement''s own period. kind late: of an earlier period [since, until), whose statement late_of '
    'is; quantity is then how much more or less than had been stated.';

create type closing as (
    subject text, since timestamptz, until timestamptz, statement_id bigint, outcome text, sqlstate text, message text);
comment on type closing is
    'What close_due() did with a period. outcome: closed (statement_id is its statement) or postponed (sqlstate and message say why: it is tried '
    'again by a later call).';

create type late_line as (
    statement_id bigint, subject text, metric text, since timestamptz, until timestamptz, stated numeric, current numeric, delta numeric,
    billed numeric, waived numeric, unit text);
comment on type late_line is
    'Usage that came after its period was closed. stated: what the statement says; current: what the log says now; billed, waived: what has been '
    'decided; delta: what has not, so that current = stated + billed + waived + delta.';

create type late_settlement as (
    statement_id bigint, metric text, outcome text, delta numeric, billed numeric, waived numeric);
comment on type late_settlement is
    'What settle_late_usage() did. outcome: settled, duplicate (nothing was left to decide) or conflict (the delta has moved: it is returned). '
    'billed, waived: all that is decided of this line.';

create type statement_problem as (
    statement_id bigint, subject text, what text, line integer, metric text, stated text, found text);
comment on type statement_problem is
    'What does not fit. what: hash (header or lines were changed; found is the hash that they have now), chain (the previous statement is another '
    'one, or is missing), subject (the subject is another or an unknown one, or its watermark was set back), log (the log, read as of the '
    'watermark, says something else) or late (a late line '
    'differs from what was decided).';

create type statement_balance as (
    statement_id bigint, subject text, metric text, since timestamptz, until timestamptz, stated numeric, billed numeric, waived numeric,
    open numeric, current numeric);
comment on type statement_balance is 'A row of the view statement_balances.';

create function _balances() returns setof statement_balance language plpgsql stable as $$
begin
    raise exception using errcode = '55000', message = 'the functions are not installed', hint = 'Run: pymeter migrate';
end
$$;
comment on function _balances() is 'The rows of the view statement_balances.';

create view statement_balances as select * from _balances();
comment on view statement_balances is
    'Each closed period and metric: stated + billed + waived + open = current, at every moment. It reads the log of all closed periods.';
comment on column statement_balances.statement_id is 'The statement.';
comment on column statement_balances.subject is 'Whose period.';
comment on column statement_balances.metric is 'What was consumed.';
comment on column statement_balances.since is 'The start of the period.';
comment on column statement_balances.until is 'Its end (exclusive).';
comment on column statement_balances.stated is 'What the statement says; 0 if it has no such line.';
comment on column statement_balances.billed is 'What has been decided to be billed with later statements.';
comment on column statement_balances.waived is 'What has been decided not to be billed.';
comment on column statement_balances.open is 'What was recorded after the watermark and is not decided, by the log.';
comment on column statement_balances.current is 'What the buckets say now.';
