-- depends: 0010-reservations
-- Top-ups: units bought or given beyond the quota, which do not reset with the period.

create sequence top_up_ids as bigint;

comment on sequence top_up_ids is 'Numbers top-ups. Gaps mean nothing.';

create table top_ups (
    top_up_id       bigint      not null default nextval('top_up_ids'),
    metric          text        collate "C" not null,
    subject         text        collate "C" not null,
    idempotency_key text        collate "C" not null,
    quantity        numeric     not null,
    priority        integer     not null,
    since           timestamptz not null,
    expires_at      timestamptz,
    source          text        collate "C" not null,
    reason          text        collate "C",
    created_at      timestamptz not null default now(),
    voided_at       timestamptz,
    void_reason     text        collate "C",
    depleted_at     timestamptz,
    expired_at      timestamptz,
    looked_at       timestamptz,

    constraint top_ups_pkey primary key (top_up_id),
    constraint top_ups_by_key unique (subject, metric, idempotency_key),
    constraint quantity_is_positive check (quantity > 0),
    constraint since_is_before_expires_at check (since < expires_at),
    constraint source_is_known check (source in ('paid', 'promotional'))
);

create index top_ups_to_notify on top_ups (metric, subject) where voided_at is null and expired_at is null;

comment on table top_ups is 'Units of a metric that a subject may use beyond its quota, in [since, expires_at).';
comment on column top_ups.top_up_id is 'Identifies the top-up.';
comment on column top_ups.metric is 'Of what: a key of metrics.';
comment on column top_ups.subject is 'Whose.';
comment on column top_ups.idempotency_key is 'Makes a repeated top_up() the same top-up.';
comment on column top_ups.quantity is 'How much, in the metric''s unit.';
comment on column top_ups.priority is 'Lower ones are used first.';
comment on column top_ups.since is 'From when usage may take from it.';
comment on column top_ups.expires_at is 'Until when (exclusive); null: for ever.';
comment on column top_ups.source is 'paid or promotional; of equal priority and expiry, promotional ones are used first.';
comment on column top_ups.reason is 'Why it was given, for people.';
comment on column top_ups.created_at is 'When it was written.';
comment on column top_ups.voided_at is 'When it was taken back: it then counts as if it had never been; null: it has not.';
comment on column top_ups.void_reason is 'Why it was taken back.';
comment on column top_ups.depleted_at is 'When maintain() wrote the notification that it is used up; null: it has not.';
comment on column top_ups.looked_at is 'When maintain() last looked whether it is used up; null: never.';
comment on column top_ups.expired_at is 'When maintain() wrote the notification that it has expired; null: it has not.';

create type balance as (
    quota numeric, used numeric, held numeric, overrun numeric, top_ups numeric, top_ups_left numeric, remaining numeric, limited_by text,
    since timestamptz, until timestamptz);
comment on type balance is
    'What a subject has of a metric at a moment: the quota of the period [since, until), what is used and held of it, overrun: what neither quota nor '
    'top-ups cover; top_ups: the top-ups active at the moment, top_ups_left: what is left of them; remaining: all that may still be used.';

create type active_top_up as (
    top_up_id bigint, metric text, subject text, idempotency_key text, quantity numeric, used numeric, remaining numeric, priority integer,
    since timestamptz, expires_at timestamptz, source text, reason text, created_at timestamptz);
comment on type active_top_up is
    'A top-up that is active at a moment, and how much of it is used and left then. source: paid, promotional or rollover: what the period before '
    'has left over, which has no id, key, priority and creation.';

-- Arrays of these types are passed between functions.

create type top_up_segment as (
    since timestamptz, until timestamptz, period text, period_since timestamptz, quota numeric, used numeric, takes boolean,
    rollover_since timestamptz, rollover_left numeric, rollover_min numeric, rollover_max numeric);
comment on type top_up_segment is
    'A part [since, until) of a limit''s period, in which the same top-ups are active. period: the limit''s; period_since: the start of that '
    'period; quota: its quota; used: what is used and held in the part; takes: whether usage may take from top-ups in it. rollover_since: the start of the period before, if something of its quota goes over to this one; '
    'rollover_left: what is left of that quota, negative if more was used; rollover_min and rollover_max: the bounds of what goes over.';

create type top_up_draw as (top_ups_left numeric[], rollover numeric, rollover_left numeric, uncovered numeric, overrun numeric);
comment on type top_up_draw is
    'What usage beyond quotas takes from top-ups. top_ups_left: what is left of each; uncovered: what nothing covers, in all periods; of the '
    'period that was asked for, overrun: what nothing covers, rollover: what came over from the period before, rollover_left: what is left of it.';

create type top_up_state as (balance balance, period text, top_ups top_ups[], draw top_up_draw);
comment on type top_up_state is
    'The balance of a subject at a moment, the period of the limit that top-ups raise (null without one), and the top-ups in the order in which they '
    'are used, with what is left of each.';
