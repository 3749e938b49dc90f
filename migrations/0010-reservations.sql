-- depends: 0009-limits
-- Reservations: what is kept free until the usage is known.

create table reservations (
    reservation_id   bigint      not null,
    metric           text        collate "C" not null,
    subject          text        collate "C" not null,
    idempotency_key  text        collate "C",
    quantity         numeric     not null,
    minimum          numeric,
    held             numeric     not null,
    at               timestamptz not null,
    expires_at       timestamptz not null,
    state            text        collate "C" not null default 'held',
    settled_quantity numeric,
    settled_at       timestamptz,
    settled_for      timestamptz,
    is_late          boolean     not null default false,
    metadata         jsonb,

    constraint reservations_pkey primary key (reservation_id),
    constraint state_is_known check (state in ('held', 'settled', 'released', 'expired'))
);

create index reservations_held on reservations (metric, subject, expires_at) where state = 'held';
create index reservations_ending on reservations (state, expires_at) where state in ('held', 'expired');
create index reservations_by_subject on reservations (subject, reservation_id);

comment on table reservations is
    'What reserve() has kept free, and what became of it. A reservation holds until it is settled or released, or expires_at has come.';
comment on column reservations.reservation_id is 'Identifies the reservation, and the event that settle() records.';
comment on column reservations.metric is 'Of what: a key of metrics.';
comment on column reservations.subject is 'For whom.';
comment on column reservations.idempotency_key is 'The key under which it was reserved; null without one.';
comment on column reservations.quantity is 'How much was asked for, in the metric''s unit.';
comment on column reservations.minimum is 'With how much less the caller is content; null: with all of it only.';
comment on column reservations.held is 'How much it holds, or held.';
comment on column reservations.at is 'When it was reserved: the usage counts at this time, unless settle() is given another.';
comment on column reservations.expires_at is 'From when on it no longer holds anything, if it is not settled or released before.';
comment on column reservations.state is 'held, settled, released or expired; one that is held expires by expires_at, whether or not this says so yet.';
comment on column reservations.settled_quantity is 'What was used; null until it is settled.';
comment on column reservations.settled_at is 'When it was settled, released or seen to have expired; null while it holds.';
comment on column reservations.settled_for is 'The time of the event that was recorded; null until it is settled.';
comment on column reservations.is_late is 'Whether it was settled after it had been released or had expired.';
comment on column reservations.metadata is 'What the caller gave with it, for the event.';

-- What reserve() answers without a look at the limits.

alter table series add column limit_quota numeric;
alter table series add column limit_used numeric;
alter table series add column limit_held numeric;

comment on column series.limit_quota is 'The quota of the limit that binds, when the limits were looked at last.';
comment on column series.limit_used is 'What is used of it, less coarse_total.';
comment on column series.limit_held is 'What reservations hold of it.';

create type reserved as (
    reservation_id bigint, outcome text, held numeric, used numeric, held_total numeric, remaining numeric, quota numeric, limited_by text,
    expires_at timestamptz);
comment on type reserved is
    'The state of a reservation after a call. outcome of reserve(): held, duplicate (the same request under the same key: the same reservation), '
    'conflict (the key was used for another request or event), refused; of the other functions: held, settled, released or expired. held: what '
    'it holds now. used, held_total, remaining, quota and limited_by: of the limit that binds; null without a limit.';

create type reserved_batch as (
    ordinal bigint, reservation_id bigint, outcome text, held numeric, used numeric, held_total numeric, remaining numeric, quota numeric,
    limited_by text, expires_at timestamptz);
comment on type reserved_batch is
    'The outcome of one request of reserve_batch(), by its position from 1; see the type reserved. outcome skipped: another request was refused or '
    'had a conflict, so that nothing was held.';

-- Passed between functions.

create type hold_request as (
    ordinal bigint, subject text, metric text, quantity numeric, idempotency_key text, minimum numeric, ttl interval, metadata jsonb,
    reservation_id bigint, digest uuid);
comment on type hold_request is
    'A checked request of reserve(), with the id of its reservation and the digest of its key; ordinal: its position in reserve_batch(), null '
    'otherwise.';
