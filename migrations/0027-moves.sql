-- depends: 0026-shards
-- Subjects that are on their way to another shard, or have gone there.

create table moves (
    subject    text        collate "C" not null,
    state      text        collate "C" not null,
    other      text        collate "C" not null,
    run        uuid,
    copied_id  bigint,
    copied_at  timestamptz,
    started_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),

    constraint moves_pkey primary key (subject),
    constraint state_is_known check (state in ('arriving', 'closing', 'moved'))
);

comment on table moves is
    'Subjects that this meter is not, or not any more, the home of. A subject without a row is at home here if it is at all. Changed only by the '
    'functions that move a subject.';
comment on column moves.subject is 'The subject.';
comment on column moves.state is
    'arriving: it comes from the other shard, and is still there; closing: it goes to the other shard, and nothing is recorded any more; moved: it is '
    'on the other shard, and what is here is a sealed copy.';
comment on column moves.other is 'The name of the other shard.';
comment on column moves.run is 'The run of the program that moves it: an earlier one can no longer change anything.';
comment on column moves.copied_id is 'With copied_at: rows of the log up to both are here. Null: none is known to be.';
comment on column moves.copied_at is 'A recorded_at, as copied_id is an event_id.';
comment on column moves.started_at is 'When the subject was first moved.';
comment on column moves.changed_at is 'When the state last changed.';

-- Meters announce the periods of all subjects in order, and are not equally far.
create table announced_subjects (
    subject    text        collate "C" not null,
    metric     text        collate "C" not null,
    next_start timestamptz not null,

    constraint announced_subjects_pkey primary key (subject, metric)
);

comment on table announced_subjects is
    'How far usage.aggregated has been written for a subject that is being moved or has come, until the meter as a whole is as far: see '
    'announced_periods.';
comment on column announced_subjects.subject is 'The subject.';
comment on column announced_subjects.metric is 'Of which metric.';
comment on column announced_subjects.next_start is 'The start of the first period that has not been announced for the subject.';

-- Of a correction of several subjects, a part may have come.
create table shared_corrections (
    correction_id bigint not null,
    entry_count   bigint not null,

    constraint shared_corrections_pkey primary key (correction_id)
);

comment on table shared_corrections is
    'Corrections of several subjects of which one has come from another shard. What is not all here is not reverted.';
comment on column shared_corrections.correction_id is 'The correction.';
comment on column shared_corrections.entry_count is 'How many entries it has on all shards together.';

-- Who writes for a subject keeps one of these until it has committed; who closes the subject takes it alone.
insert into locks (name) select 'home ' || n from generate_series(0, 1023) n union all select 'homes' on conflict do nothing;
