-- depends: 0006-results
-- What is reported to a biller: how it is mapped, what waits to be planned, what was planned, and what became of it.

create table billers (
    biller              text        collate "C" not null,
    subject_is_customer boolean     not null default false,
    dedup_window        interval    not null default '24 hours',
    dedup_margin        interval    not null default '1 hour',
    absence             interval    not null default '24 hours',
    max_age             interval    not null default '35 days',
    max_ahead           interval    not null default '5 minutes',
    grace               interval    not null default '1 hour',
    max_digits          integer     not null default 15,
    too_old             text        collate "C" not null default 'hold',
    negative            text        collate "C" not null default 'hold',
    late                text        collate "C" not null default 'send',
    first_claimed_at    timestamptz,

    constraint billers_pkey primary key (biller),
    constraint dedup_margin_fits_its_window
        check (dedup_margin >= interval '0' and dedup_window > dedup_margin),
    constraint intervals_are_not_negative
        check (absence >= interval '0' and max_age > interval '0' and max_ahead >= interval '0' and grace >= interval '0'),
    constraint max_digits_is_positive check (max_digits > 0),
    constraint too_old_is_known check (too_old in ('hold', 'restamp', 'leave')),
    constraint negative_is_known check (negative in ('hold', 'send', 'leave')),
    constraint late_is_known check (late in ('send', 'restamp', 'hold'))
);

comment on table billers is 'Who is reported to, and by which rules: one row per biller, created when it is first mentioned.';
comment on column billers.biller is 'Its name; stripe unless there are several, such as a second one for a rehearsal.';
comment on column billers.subject_is_customer is 'Whether a subject that is not mapped is itself the biller''s customer id.';
comment on column billers.dedup_window is 'How long the biller recognises an identifier that it has seen.';
comment on column billers.dedup_margin is 'How long before the end of dedup_window a push is no longer sent again.';
comment on column billers.absence is 'How long a push must be missing from the biller''s totals before it is taken for not delivered.';
comment on column billers.max_age is 'How far in the past a timestamp may lie for the biller to take it.';
comment on column billers.max_ahead is 'How far in the future a timestamp may lie for the biller to take it.';
comment on column billers.grace is 'How long after a period its invoice still takes usage.';
comment on column billers.max_digits is 'How many digits a value may have, leading zeros not counted.';
comment on column billers.too_old is
    'What becomes of usage older than max_age: hold (a person decides), restamp (into the open period) or leave (never sent).';
comment on column billers.negative is 'What becomes of a correction below zero: hold (a person decides), send or leave (never sent).';
comment on column billers.late is
    'What becomes of usage of a period whose grace has passed: send (with its own time), restamp (into the open period) or hold.';
comment on column billers.first_claimed_at is
    'When a worker first called claim_pushes(); null: nobody has reported to this biller yet, which is no problem of health().';

create table report_metrics (
    biller      text        collate "C" not null,
    metric      text        collate "C" not null,
    event_name  text        collate "C",
    mode        text        collate "C" not null,
    since       timestamptz,
    event_after bigint      not null default 0,

    constraint report_metrics_pkey primary key (biller, metric),
    constraint mode_is_known check (mode in ('delta', 'event', 'last'))
);

comment on table report_metrics is 'Which metric is reported to which biller, under what name and how.';
comment on column report_metrics.biller is 'A key of billers.';
comment on column report_metrics.metric is 'A key of metrics.';
comment on column report_metrics.event_name is 'The biller''s name for it (at Stripe: the meter''s event name); null once the mapping is removed.';
comment on column report_metrics.mode is
    'delta: what has been added to a bucket since it was last planned. event: one push per event. last: the period''s present value.';
comment on column report_metrics.since is 'Usage in buckets that begin earlier is not reported; null: all is.';
comment on column report_metrics.event_after is
    'For event: events with this id or a lower one are reported as deltas, because they were recorded while the mode was delta.';

create table report_subjects (
    subject  text collate "C" not null,
    biller   text collate "C" not null,
    customer text collate "C" not null,

    constraint report_subjects_pkey primary key (subject, biller)
);

comment on table report_subjects is 'Which of the biller''s customers a subject is.';
comment on column report_subjects.subject is 'Who consumes.';
comment on column report_subjects.biller is 'A key of billers.';
comment on column report_subjects.customer is 'The biller''s id for who pays.';

-- For report_subject(): who else is this customer.
create index report_subjects_by_customer on report_subjects (biller, customer);

-- Append-only, without an index: a row costs recording as little as a row can, and two recorders never wait for each other here.
create table unreported (
    at        timestamptz not null,
    event_id  bigint,
    series_id integer     not null,
    biller    text        collate "C" not null
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.05);

comment on table unreported is
    'The queue: usage that plan_pushes() has yet to look at. Written in the transaction that records, deleted in the one that plans.';
comment on column unreported.at is 'The event''s time: says which bucket has to be looked at.';
comment on column unreported.event_id is 'The event; null when all of the bucket has to be looked at.';
comment on column unreported.series_id is 'Who consumed what: a series.';
comment on column unreported.biller is 'Who is to be told.';

create table reported (
    bucket_start timestamptz not null,
    pushes       bigint      not null default 0,
    subject      text        collate "C" not null,
    metric       text        collate "C" not null,
    biller       text        collate "C" not null,
    quantity     numeric     not null,
    as_events    numeric     not null default 0,

    constraint reported_pkey primary key (subject, metric, biller, bucket_start)
) with (fillfactor = 80);

comment on table reported is
    'How much of each bucket has been planned: the sum of its pushes, whatever their state. What the rollup has more is yet to be planned.';
comment on column reported.bucket_start is
    'The first instant of the bucket: of the hour for deltas and events of count and sum, else of the metric''s period.';
comment on column reported.pushes is 'How many pushes were planned for the bucket, single events not counted: a part of their identifiers.';
comment on column reported.subject is 'Who consumed.';
comment on column reported.metric is 'What was consumed.';
comment on column reported.biller is 'Who is told.';
comment on column reported.quantity is 'The sum of the bucket''s deltas; for last: the value that was planned last.';
comment on column reported.as_events is 'The sum of the bucket''s pushes of single events, those after report_metrics.event_after.';

create sequence push_ids as bigint cache 1;
comment on sequence push_ids is 'Numbers pushes in the order in which they were planned. Gaps mean nothing.';

create table pushes (
    push_id          bigint      not null default nextval('push_ids'),
    subject          text        collate "C" not null,
    metric           text        collate "C" not null,
    biller           text        collate "C" not null,
    bucket_start     timestamptz not null,
    event_id         bigint,
    mode             text        collate "C" not null,
    identifier       text        collate "C" not null default 'pm_' || gen_random_uuid(),
    customer         text        collate "C" not null,
    event_name       text        collate "C" not null,
    value            numeric     not null,
    stamped_at       timestamptz not null,
    due_at           timestamptz,
    state            text        collate "C" not null,
    reason           text        collate "C",
    error            text        collate "C",
    attempts         integer     not null default 0,
    unsure_attempts  integer     not null default 0,
    unsure_since     timestamptz,
    absent_since     timestamptz,
    planned_at       timestamptz not null,
    next_attempt_at  timestamptz not null,
    first_attempt_at timestamptz,
    last_attempt_at  timestamptz,
    settled_at       timestamptz,
    replaces         bigint,
    replaced_by      bigint,

    constraint pushes_pkey primary key (subject, push_id),
    constraint state_is_known
        check (state in ('planned', 'sending', 'delivered', 'rejected', 'uncertain', 'resolved', 'held', 'left', 'replaced')),
    constraint stamp_is_in_whole_seconds check (extract(epoch from stamped_at) % 1 = 0),
    constraint value_is_finite check (value not in ('NaN', 'Infinity', '-Infinity')),
    constraint settled_when_nothing_is_left_to_do
        check ((settled_at is not null) = (state in ('delivered', 'rejected', 'resolved', 'left', 'replaced'))),
    constraint unsure_when_an_attempt_is check ((unsure_since is not null) = (unsure_attempts > 0)),
    constraint sending_is_unsure check (state <> 'sending' or unsure_attempts > 0),
    constraint uncertain_is_unsure check (state <> 'uncertain' or unsure_attempts > 0),
    constraint held_has_a_reason check (state not in ('held', 'left') or reason is not null),
    constraint attempted_when_there_were_attempts
        check ((attempts > 0) = (first_attempt_at is not null) and (attempts > 0) = (last_attempt_at is not null)),
    constraint replaced_by_another check ((replaced_by is not null) = (state = 'replaced'))
) with (fillfactor = 80);

comment on table pushes is
    'The journal: one row for everything that is sent to a biller, written before it is sent. What is sent never changes; a push that '
    'has to be sent otherwise is replaced by another.';
comment on column pushes.push_id is 'Unique; ascending in the order of planning.';
comment on column pushes.subject is 'Who consumed.';
comment on column pushes.metric is 'What was consumed.';
comment on column pushes.biller is 'Who is told.';
comment on column pushes.bucket_start is 'The bucket whose usage this is a part of, as in reported.';
comment on column pushes.event_id is 'The event that this is the push of; null for a part of a bucket.';
comment on column pushes.mode is 'How it was planned: delta, event or last.';
comment on column pushes.identifier is
    'What the biller recognises a repeat by: a digest of what is sent and of the place in the journal, the same on every attempt.';
comment on column pushes.customer is 'The biller''s customer, sent.';
comment on column pushes.event_name is 'The biller''s name of the metric, sent.';
comment on column pushes.value is 'The quantity, sent as its exact decimal text.';
comment on column pushes.stamped_at is 'The usage''s time in whole seconds, sent.';
comment on column pushes.due_at is 'When the invoice of its period no longer takes it: the period''s end and the grace; null if it never ends.';
comment on column pushes.state is
    'planned, sending, delivered (the biller took it), rejected (the biller refused it), uncertain (the outcome is unknown, and it is too '
    'late to find out by sending it again), resolved (found in the biller''s totals), held (waits for a decision), left (never sent, by a '
    'setting or by leave_pushes()) or replaced (another push was made for it).';
comment on column pushes.reason is
    'Why it is held, left, rejected or replaced: too_old, negative, late, too_many_digits, ambiguous (another subject or metric has a value '
    'of mode last for the same customer, event name and period), refused, failed, absent, retried or superseded. '
    'late on any other push: the grace of its period had passed when it was planned.';
comment on column pushes.error is 'What the biller or the network said last.';
comment on column pushes.attempts is 'How often it has been claimed for sending; the number of the present attempt.';
comment on column pushes.unsure_attempts is 'How many attempts may have been counted by the biller without our knowing.';
comment on column pushes.unsure_since is 'When the first of those attempts began: the biller''s window is counted from here.';
comment on column pushes.absent_since is 'Since when it has been missing from the biller''s totals.';
comment on column pushes.planned_at is 'When it was planned.';
comment on column pushes.next_attempt_at is 'Not to be sent before; for uncertain: not to be looked up before.';
comment on column pushes.first_attempt_at is 'When it was first claimed.';
comment on column pushes.last_attempt_at is 'When it was last claimed.';
comment on column pushes.settled_at is 'When it came to its end.';
comment on column pushes.replaces is 'The push that this one was made for.';
comment on column pushes.replaced_by is 'The push that was made for this one: its quantity is counted there.';

-- What settling looks a push up by. Not unique, as uniqueness would have to be checked across all subjects; the sequence is.
create index pushes_by_id on pushes (push_id);
create index pushes_by_identifier on pushes (identifier);
-- One push per event; those that replace one another are one.
create unique index pushes_by_event on pushes (subject, metric, biller, event_id) where event_id is not null and replaces is null;
-- For claiming: what is open of a lane, in the order of sending. It stays as small as what is open.
create index pushes_open on pushes (biller, customer, event_name, state, due_at, push_id) where state in ('planned', 'sending');
-- For people and for looking up totals: what did not end well, and little of it.
create index pushes_unsettled on pushes (biller, state, next_attempt_at) where state in ('uncertain', 'held', 'rejected');
-- For totals: what the biller has been told about a customer and an hour.
create index pushes_by_stamp on pushes (biller, customer, event_name, stamped_at);

-- What is sent is bound to the identifier, which the biller takes for proof that it has seen it.
create function _guard_push() returns trigger language plpgsql as $$
begin
    raise exception using errcode = '55000', message = 'the functions are not installed', hint = 'Run: pymeter migrate';
end
$$;
comment on function _guard_push() is 'Trigger: refuses to change what a push sends.';

create trigger pushes_send_what_was_planned
    before update of push_id, subject, metric, biller, bucket_start, event_id, mode, identifier, customer, event_name, value,
        stamped_at on pushes
    for each row execute function _guard_push();
create trigger pushes_are_not_deleted before delete on pushes for each row execute function _guard_push();
create trigger pushes_are_not_truncated before truncate on pushes for each statement execute function _guard_push();

create table report_lanes (
    biller       text        collate "C" not null,
    customer     text        collate "C" not null,
    event_name   text        collate "C" not null,
    wake_at      timestamptz,
    due_at       timestamptz,
    leased_until timestamptz,
    worker       text        collate "C",

    constraint report_lanes_pkey primary key (biller, customer, event_name),
    constraint leased_by_a_worker check ((leased_until is null) = (worker is null))
);

comment on table report_lanes is
    'One row per customer and event name: their pushes are sent one after another, by one worker at a time.';
comment on column report_lanes.biller is 'A key of billers.';
comment on column report_lanes.customer is 'The biller''s customer.';
comment on column report_lanes.event_name is 'The biller''s name of the metric.';
comment on column report_lanes.wake_at is 'When there is something to do; null when there is nothing.';
comment on column report_lanes.due_at is 'The earliest due_at of what is to be sent.';
comment on column report_lanes.leased_until is 'Until when it is the worker''s alone; null when it is nobody''s.';
comment on column report_lanes.worker is 'Who sends at the moment.';

create index report_lanes_awake on report_lanes (biller, due_at, wake_at) where wake_at is not null;

create table reconciliations (
    biller      text        collate "C" not null,
    customer    text        collate "C" not null,
    event_name  text        collate "C" not null,
    step        text        collate "C" not null,
    range_start timestamptz not null,
    local       numeric,
    remote      numeric,
    difference  numeric,
    checked_at  timestamptz,
    recheck     boolean     not null default false,

    constraint reconciliations_pkey primary key (biller, customer, event_name, step, range_start),
    constraint step_is_known check (step in ('hour', 'day')),
    constraint difference_is_remote_less_local check (difference is not distinct from remote - local)
);

comment on table reconciliations is 'The latest comparison of what was delivered with the biller''s total, per customer, event name and hour or day.';
comment on column reconciliations.biller is 'A key of billers.';
comment on column reconciliations.customer is 'The biller''s customer.';
comment on column reconciliations.event_name is 'The biller''s name of the metric.';
comment on column reconciliations.step is 'hour or day (UTC).';
comment on column reconciliations.range_start is 'The first instant of that hour or day.';
comment on column reconciliations.local is 'What was delivered; null if it has not been compared yet.';
comment on column reconciliations.remote is 'What the biller says.';
comment on column reconciliations.difference is 'remote less local: above zero the biller has more.';
comment on column reconciliations.checked_at is 'When they were compared.';
comment on column reconciliations.recheck is 'Whether something has happened since that calls for another comparison.';

create table report_errors (
    biller     text        collate "C" not null,
    event_id   text        collate "C" not null,
    code       text        collate "C",
    pushes     bigint      not null,
    handled_at timestamptz not null,

    constraint report_errors_pkey primary key (biller, event_id)
);

comment on table report_errors is 'The biller''s asynchronous error reports that have been dealt with, so that each is once.';
comment on column report_errors.biller is 'A key of billers.';
comment on column report_errors.event_id is 'The biller''s id of its report.';
comment on column report_errors.code is 'What was wrong, in the biller''s words.';
comment on column report_errors.pushes is 'How many pushes became rejected by it.';
comment on column report_errors.handled_at is 'When it was dealt with.';

-- Where the journal of a biller lives, so that a restored or copied one is told from the one that was used.
create table report_journals (
    biller         text        collate "C" not null,
    salt           uuid        not null default gen_random_uuid(),
    server         text        collate "C",
    adopted_at     timestamptz,
    lost_since     timestamptz,
    doubtful_until timestamptz,

    constraint report_journals_pkey primary key (biller)
);

comment on table report_journals is 'One row per biller: the server that its journal is used on. Created when something is first planned.';
comment on column report_journals.biller is 'A key of billers.';
comment on column report_journals.salt is 'Makes the identifiers of this journal different from those of every other one.';
comment on column report_journals.server is
    'System identifier, timeline, database and table, as _journal_server() returned them; planning and claiming stop where it differs.';
comment on column report_journals.adopted_at is 'When adopt_journal() was last called.';
comment on column report_journals.lost_since is
    'The time of the last thing that the adopted journal knew of: what it has lost was done later.';
comment on column report_journals.doubtful_until is
    'Usage of hours before this may have been sent without this journal''s knowledge; null: everything that was sent is in the journal.';

-- The row types that the functions return. New attributes go to the end.

create type planned_push as (
    subject text, metric text, customer text, event_name text, value text, stamped_at timestamptz, state text, reason text,
    bucket_start timestamptz, event_id bigint, mode text, due_at timestamptz);
comment on type planned_push is
    'What plan_pushes() would write: the push, the state that it would begin in (planned, held or left) and the reason.';

create type claimed_push as (
    push_id bigint, attempt integer, subject text, metric text, identifier text, customer text, event_name text, value text,
    stamped_at timestamptz, due_at timestamptz, leased_until timestamptz);
comment on type claimed_push is
    'A push to be sent now, as it stands here and before leased_until; attempt goes back to settle_pushes() with its outcome.';

create type settled_push as (push_id bigint, state text, reason text, next_attempt_at timestamptz);
comment on type settled_push is 'What became of a push by its outcome; next_attempt_at: when a planned one is sent again.';

create type uncertain_hour as (
    customer text, event_name text, hour timestamptz, delivered_total numeric, uncertain_total numeric, uncertain_pushes bigint);
comment on type uncertain_hour is
    'An hour (UTC) of a customer and event name whose total has to be asked for: with and without the pushes that are uncertain.';

create type settled_hour as (verdict text, present bigint, absent bigint, uncertain bigint);
comment on type settled_hour is
    'What a biller''s total says about the uncertain pushes of an hour. verdict: present, absent, partly (present), waiting (absence has '
    'to persist), unclear, or busy (ask again later); then how many were found, how many replaced, how many stay uncertain.';

create type reconcilable_range as (
    customer text, event_name text, range_start timestamptz, range_end timestamptz, step text, local numeric, cause text);
comment on type reconcilable_range is
    'A range to ask the biller''s total for; local is what was delivered, cause: recheck, uncertain, due or routine.';

create type push_status as (state text, pushes bigint, quantity numeric, oldest timestamptz, metric text);
comment on type push_status is
    'How much of a metric is in a state: how many pushes, the sum of their values, and the earliest time that they are stamped with.';

create type report_journal as (
    biller text, stopped boolean, server text, this_server text, adopted_at timestamptz, doubtful_until timestamptz);
comment on type report_journal is
    'Where a biller''s journal lives. stopped: server, where it was used last, is not this_server, and nothing is planned or claimed. '
    'Usage of hours before doubtful_until is compared with the biller''s totals before it is sent.';

-- An array of it is passed between functions.

create type push_result as (push_id bigint, attempt integer, outcome text, error text, retry_after interval, identifier text);
comment on type push_result is 'What became of one attempt to send a push, as settle_pushes() is told.';
