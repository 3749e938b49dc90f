-- depends: 0012-deliveries
-- Corrections: reviewed units of changes. The log stays append-only: what takes an event back is a row of its own.

create sequence correction_ids as bigint cache 1;
comment on sequence correction_ids is 'Numbers corrections. Gaps mean nothing.';

create table corrections (
    correction_id bigint      not null default nextval('correction_ids'),
    state         text        collate "C" not null,
    reason        text        not null,
    opened_by     text        collate "C" not null,
    opened_at     timestamptz not null default clock_timestamp(),
    decided_by    text        collate "C",
    decided_at    timestamptz,
    decision      text,
    reverts       bigint,
    digest        uuid,

    constraint corrections_pkey primary key (correction_id),
    constraint state_is_known check (state in ('open', 'approved', 'rejected', 'reverted'))
);

create index corrections_open on corrections (correction_id) where state = 'open';
create unique index corrections_by_key on corrections (digest) where digest is not null;
create unique index corrections_reverting on corrections (reverts) where reverts is not null;

comment on table corrections is 'Who has changed, or wants to change, what the log says about usage, and why.';
comment on column corrections.correction_id is 'Identifies the correction.';
comment on column corrections.state is 'open, approved (it counts), rejected, or reverted (it counted, and was taken back).';
comment on column corrections.reason is 'Why.';
comment on column corrections.opened_by is 'The role that opened it.';
comment on column corrections.opened_at is 'When.';
comment on column corrections.decided_by is 'The role that approved or rejected it; null while it is open.';
comment on column corrections.decided_at is 'When.';
comment on column corrections.decision is 'Why it was rejected; null otherwise.';
comment on column corrections.reverts is 'The correction that this one takes back; null if it takes none back.';
comment on column corrections.digest is 'The digest of the key under which it was opened; null without one.';

create table correction_entries (
    correction_id   bigint  not null,
    ordinal         integer not null,
    entry           text    collate "C" not null,
    subject         text    collate "C" not null,
    metric          text    collate "C" not null,
    corrects        bigint,
    corrects_at     timestamptz,
    quantity        numeric,
    member          text    collate "C",
    idempotency_key text    collate "C",
    at              timestamptz,
    metadata        jsonb,
    reason          text,
    outcome         text    collate "C",
    event_id        bigint,

    constraint correction_entries_pkey primary key (correction_id, ordinal),
    constraint entry_is_known check (entry in ('void', 'amend', 'adjust', 'record'))
);

create index correction_entries_by_subject on correction_entries (subject, correction_id);

comment on table correction_entries is 'The changes that a correction consists of. They count nowhere until it is approved.';
comment on column correction_entries.correction_id is 'The correction.';
comment on column correction_entries.ordinal is 'The position in it, from 1.';
comment on column correction_entries.entry is 'void, amend, adjust or record.';
comment on column correction_entries.subject is 'Whose usage.';
comment on column correction_entries.metric is 'Usage of what.';
comment on column correction_entries.corrects is 'The event that is voided or amended; null for the others.';
comment on column correction_entries.corrects_at is 'That event''s time.';
comment on column correction_entries.quantity is 'The quantity that is to count; null where it stays, or is not needed.';
comment on column correction_entries.member is 'The member that is to count; null where it stays, or is not needed.';
comment on column correction_entries.idempotency_key is 'The key that was given with the entry; null without one.';
comment on column correction_entries.at is 'The time at which it is to count; null where it stays.';
comment on column correction_entries.metadata is 'The metadata of the new event; null where it stays, or there is none.';
comment on column correction_entries.reason is 'Why this entry, if another reason than the correction''s was given.';
comment on column correction_entries.outcome is
    'What approving did: applied; duplicate if there was nothing left to do; conflict if the event, or the key, had been changed otherwise. '
    'Null before.';
comment on column correction_entries.event_id is 'The row of the log that was written, the new event of an amend; null if none was.';

-- Corrections of a series exclude each other, by rows and not by advisory locks, which every role of the database can take.
insert into locks (name) select 'correction ' || n from generate_series(0, 1023) n;
comment on column locks.name is 'catalog, maintain or rebuild; or correction and a number, for the series whose series_id has this remainder by 1024.';

-- The log has no room for these: a ninth column would make most of its rows longer.
create table event_kinds (
    event_id      bigint      not null,
    at            timestamptz not null,
    corrects      bigint,
    undone_by     bigint,
    correction_id bigint      not null,
    series_id     integer     not null,
    counts        smallint    not null,
    kind          text        collate "C" not null,

    constraint event_kinds_pkey primary key (event_id),
    constraint kind_is_known check (kind in ('usage', 'void', 'adjustment'))
);

-- An event has one void that has not been undone: who inserts it, takes the event back.
create unique index event_kinds_voids on event_kinds (corrects) where kind = 'void' and undone_by is null;
create index event_kinds_series on event_kinds (series_id, at);
create index event_kinds_corrections on event_kinds (correction_id);

comment on table event_kinds is
    'What the rows of the log are that corrections have written. All other rows are usage, and count 1.';
comment on column event_kinds.event_id is 'The row of the log.';
comment on column event_kinds.at is 'Its time; of a void, that of what it takes back.';
comment on column event_kinds.corrects is 'Of a void: the row that it takes back. Of usage: the event that it replaces; null if it replaces none.';
comment on column event_kinds.undone_by is 'Of a void: the void that has taken it back, so that what it corrects counts again; null while it holds.';
comment on column event_kinds.correction_id is 'The correction that wrote it.';
comment on column event_kinds.series_id is 'Who consumed what: a series.';
comment on column event_kinds.counts is
    'What the row adds to event_count: usage 1, an adjustment 0, a void the opposite of what it takes back.';
comment on column event_kinds.kind is 'usage, void or adjustment.';

-- keys has the payload that a key came with first. A retry with a payload that replaced it is a duplicate too.
create table amended_keys (
    digest   uuid        not null,
    event_id bigint      not null,
    at       timestamptz not null,
    quantity numeric,
    member   text        collate "C",

    constraint amended_keys_pkey primary key (digest, event_id)
);

comment on table amended_keys is 'The events that have replaced the event of an idempotency key, as keys has that one.';
comment on column amended_keys.digest is 'As in keys.';
comment on column amended_keys.event_id is 'The event that replaced an earlier one.';
comment on column amended_keys.at is 'As in keys.';
comment on column amended_keys.quantity is 'As in keys.';
comment on column amended_keys.member is 'As in keys.';

-- A bucket may have rows of the log and yet count no event. So the time of its last row tells whether there is such a bucket.
update series set fine_last_at = '-infinity' where fine_count = 0;
update series set coarse_last_at = '-infinity' where coarse_count = 0;
comment on column series.fine_last_at is 'The latest time of a row of the log in the open fine bucket; -infinity: there is no such bucket.';
comment on column series.coarse_last_at is 'The latest time of a row of the log in the open coarse bucket; -infinity: there is no such bucket.';
comment on column series.fine_count is 'How many events count in the open fine bucket: those that are recorded, less those that are voided.';
comment on column series.coarse_count is 'How many events count in the open coarse bucket, those of the open fine bucket included.';
comment on column rollups.event_count is 'How many events count in the bucket: those that were recorded, less those that are voided.';

create or replace view logged_events as
select e.event_id, e.at, e.recorded_at, s.subject, s.metric, e.quantity, e.member, e.idempotency_key, e.metadata,
       coalesce(k.kind, 'usage') collate "C" as kind, k.corrects, k.correction_id
from events e
join series s on s.series_id = e.series_id and s.stripe = 0
left join event_kinds k on k.event_id = e.event_id;

comment on column logged_events.quantity is
    'How much, in the metric''s unit; null for unique metrics. Of a void, the opposite of what it takes back.';
comment on column logged_events.kind is
    'usage; void: takes back the event that corrects names; adjustment: a signed quantity, which counts no event.';
comment on column logged_events.corrects is 'Of a void: the event that it takes back. Of usage: the event that it replaces. Null otherwise.';
comment on column logged_events.correction_id is 'The correction that wrote it; null for events that were recorded.';

create or replace view buckets as
select r.series_id, s.subject, s.metric, r.bucket, r.bucket_start, r.stripe, r.event_count, r.last_at, r.total, r.lowest, r.highest, r.latest
from rollups r
left join series s on s.series_id = r.series_id and s.stripe = 0
union all
select s.series_id, s.subject, s.metric, m.coarse_bucket, s.coarse_start, s.stripe, s.coarse_count, s.coarse_last_at, s.coarse_total,
       s.coarse_lowest, s.coarse_highest, s.coarse_latest
from series s
join metrics m on m.key = s.metric
where s.coarse_last_at > '-infinity'
union all
select s.series_id, s.subject, s.metric, m.fine_bucket, s.fine_start, s.stripe, s.fine_count, s.fine_last_at, s.fine_total,
       s.fine_lowest, s.fine_highest, s.fine_latest
from series s
join metrics m on m.key = s.metric
where s.fine_last_at > '-infinity' and m.fine_bucket <> m.coarse_bucket;

create type corrected as (correction_id bigint, event_id bigint, outcome text, quantity numeric);
comment on type corrected is
    'What void_event(), amend_event() or adjust() did. outcome: applied, duplicate (there was nothing left to do) or conflict (the event or the '
    'key had been changed otherwise). correction_id: the correction that holds the change; null for a conflict. event_id: the event that no '
    'longer counts, or the new one of amend_event(), or the adjustment. quantity: the new quantity of the period that it counts in.';

create type correction_effect as (
    subject text, metric text, since timestamptz, until timestamptz, before numeric, after numeric, delta numeric, closed boolean,
    reported boolean, limits text[], amount numeric);
comment on type correction_effect is
    'What a correction changes in one period [since, until) of a metric; until is null if the period never ends. before and after: the quantity. '
    'closed: whether a statement holds the period. reported: whether some of its usage has been planned for a biller. limits: the names of limits '
    'whose usage goes from below the quota to at least the quota, or back. amount: what the delta is worth; null without a price.';

create type correction as (
    correction_id bigint, state text, reason text, entries bigint, opened_by text, opened_at timestamptz, decided_by text,
    decided_at timestamptz, decision text, reverts bigint, reverted_by bigint);
comment on type correction is
    'A correction. state: open, approved, rejected or reverted. entries: how many changes it has. decided_by, decided_at, decision: who '
    'approved or rejected it, when, and why it was rejected. reverts: the correction that it takes back; reverted_by: the one that took it back, '
    'which says who did that, when and why.';

create type correction_entry as (
    ordinal integer, entry text, subject text, metric text, corrects bigint, quantity numeric, member text, idempotency_key text,
    at timestamptz, metadata jsonb, reason text, outcome text, event_id bigint);
comment on type correction_entry is
    'One change of a correction, as it was staged, and what approving it did: outcome (null before) and event_id, the row of the log that it wrote.';

alter table fired_marks drop constraint kind_is_known;
alter table fired_marks add constraint kind_is_known check (kind in ('mark', 'step', 'refused', 'overflow', 'settle', 'correction'));
comment on column fired_marks.kind is 'mark: a percentage of the quota; step: a further step beyond it; refused: the first refusal; overflow: the first '
    'event that was counted in spite of the limit; settle: the first settlement of more than was held that did not fit; correction: the first '
    'correction that took usage beyond the limit.';
comment on type overrun is
    'A limit that blocks, and of which more is used and held in [since, until) than its quota and top-ups. cause: overflow (events were counted in '
    'spite of it), settle (more was settled than a reservation held), correction (a correction has raised the usage), top_up (a top-up that covered '
    'some of it was voided) or limit (it was set, lowered or replaced when more had been used or was held).';

-- The level of those who decide on corrections.
alter table access_grants drop constraint level_is_known;
alter table access_grants add constraint level_is_known check (level in ('read', 'write', 'report', 'admin', 'approve'));

-- Passed between functions.

create type correction_step as (
    ordinal integer, outcome text, kind text, metric text, subject text, series_id integer, event_id bigint, at timestamptz, quantity numeric,
    member text, idempotency_key text, metadata jsonb, corrects bigint, counts smallint, digest uuid);
comment on type correction_step is
    'One row that a correction is to write into the log, by the entry with this ordinal, with what event_kinds says of it; digest: of the key '
    'that the event takes, or keeps. Or an entry that writes none: kind is null, outcome is duplicate, conflict or the code of a problem.';

create type bucket_sum as (
    metric text, subject text, aggregate text, series_id integer, bucket text, bucket_start timestamptz, is_fine boolean, counts bigint,
    last_at timestamptz, quantity numeric);
comment on type bucket_sum is 'What rows that a correction writes add to a bucket. series_id is null for a series that is yet to be created.';

create type planned_member as (
    series_id integer, fine_bucket text, coarse_bucket text, fine_start timestamptz, unit text, member text, member_digest uuid,
    is_recorded boolean);
comment on type planned_member is
    'A member that rows name which a correction writes, and the fine bucket that they are in. is_recorded: one of them is an event that counts.';

create type member_change as (
    series_id integer, bucket text, bucket_start timestamptz, member_digest uuid, unit text, before boolean, after boolean);
comment on type member_change is 'Whether a member is counted in a bucket, before and after a correction.';

create type bucket_plan as (sums bucket_sum[], left_out bigint[], recorded rollups[], members planned_member[]);
comment on type bucket_plan is
    'What is known of the buckets that a correction changes before they are locked. sums: what its rows add to each. Of min, max, last and unique '
    'also: left_out, the ids of rows of the log that will not count, and of its own; recorded, the values that it records, by fine bucket; members.';

create type corrected_bucket as (metric text, subject text, aggregate text, before rollups, after rollups);
comment on type corrected_bucket is
    'A bucket of a series as it is stored, all stripes together, and as it is with the rows that a correction writes. Without rows of the log, '
    'last_at is -infinity.';
