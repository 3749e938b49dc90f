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

-- Who writes for a subject keeps one of these until it has committed; who closes the subject takes it alone.
insert into locks (name) select 'home ' || n from generate_series(0, 1023) n union all select 'homes' on conflict do nothing;
