-- depends: 0026-shards
-- The subjects that are about to leave this meter, have left it, or are about to arrive. A subject without a row is at home here.

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
    'Subjects that nothing is recorded for here, because they are being moved from or to another meter, or have been. Changed by close_home(), '
    'reopen_home(), leave_home(), expect_subject() and admit_subject().';
comment on column moves.subject is 'Whom the usage belongs to.';
comment on column moves.state is
    'closing: it is being moved to other, and everything is still here. moved: it is at other, and what is here is an old copy. arriving: it is '
    'being moved here from other.';
comment on column moves.other is 'The other meter: the shard that the subject is moved to, or comes from.';
comment on column moves.run is 'The run of the command that moves it; null: none was given.';
comment on column moves.copied_id is 'Up to which event the log has been copied; null: not yet.';
comment on column moves.copied_at is 'When that was noted.';
comment on column moves.started_at is 'When this move began.';
comment on column moves.changed_at is 'When the state changed last.';
