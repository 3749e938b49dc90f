-- depends: 0011-top-ups
-- Who is told: endpoints, what has been and is to be sent to them, and alerts about spikes.

alter table notifications add column planned_at timestamptz;

comment on column notifications.planned_at is 'When it was planned for the endpoints that ask for it; null: not yet.';

create index notifications_unplanned on notifications (notification_id) where planned_at is null;

comment on column metrics.billers is
    'The billers that are told of the metric''s usage; null if none. Recording queues what it does for each of them. An empty name: an endpoint '
    'asks for usage.recorded.';

create table endpoints (
    name            text        collate "C" not null,
    url             text        collate "C",
    types           text[]      not null,
    format          text        collate "C" not null,
    secret_name     text        collate "C",
    since           timestamptz not null default clock_timestamp(),
    failing_since   timestamptz,
    disabled_at     timestamptz,
    disabled_reason text        collate "C",
    created_at      timestamptz not null default clock_timestamp(),

    constraint endpoints_pkey primary key (name),
    constraint format_is_known check (format in ('standard', 'slack', 'email'))
);

comment on table endpoints is 'Where notifications are sent. The row is locked by what changes which of its deliveries is next.';
comment on column endpoints.name is 'Identifies the endpoint.';
comment on column endpoints.url is 'An http, https or mailto URL; null where the secret is the URL.';
comment on column endpoints.types is 'The types of notifications that are sent there; * stands for all but usage.recorded and usage.aggregated.';
comment on column endpoints.format is 'standard (Standard Webhooks), slack or email.';
comment on column endpoints.secret_name is
    'The name of the secret that the sender reads from its environment or a file; the secret itself is not here.';
comment on column endpoints.since is 'Notifications from then on are sent.';
comment on column endpoints.failing_since is 'Since when no attempt has succeeded: fewer are then made at a time; null: the last one has succeeded.';
comment on column endpoints.disabled_at is 'When the endpoint answered that it is gone; null: it is in use.';
comment on column endpoints.disabled_reason is 'Why it is disabled.';
comment on column endpoints.created_at is 'When it was first defined.';

create sequence delivery_ids as bigint;

comment on sequence delivery_ids is 'Numbers deliveries in the order in which they are sent. Gaps mean nothing.';

create table deliveries (
    delivery_id     bigint      not null default nextval('delivery_ids'),
    notification_id bigint      not null,
    endpoint        text        collate "C" not null,
    subject         text        collate "C",
    lane            text        collate "C" not null,
    type            text        collate "C" not null,
    message_id      text        collate "C" not null,
    body            text        not null,
    state           text        collate "C" not null,
    attempts        integer     not null default 0,
    failures        integer     not null default 0,
    next_attempt_at timestamptz,
    worker          text        collate "C",
    status          integer,
    error           text,
    created_at      timestamptz not null default clock_timestamp(),
    settled_at      timestamptz,

    constraint deliveries_pkey primary key (delivery_id),
    constraint deliveries_by_notification unique (notification_id, endpoint),
    constraint state_is_known check (state in ('waiting', 'planned', 'sending', 'delivered', 'dead'))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

create unique index deliveries_first on deliveries (endpoint, lane) where state in ('planned', 'sending');
create index deliveries_waiting on deliveries (endpoint, lane, delivery_id) where state = 'waiting';
create index deliveries_due on deliveries (endpoint, next_attempt_at) where state in ('planned', 'sending');
create index deliveries_dead on deliveries (endpoint, delivery_id) where state = 'dead';
create index deliveries_by_subject on deliveries (subject, delivery_id);

comment on table deliveries is
    'What is sent to which endpoint. Deliveries with the same endpoint and lane are sent one after another: only the first of them is planned or '
    'sending, those behind it are waiting.';
comment on column deliveries.delivery_id is 'Identifies the delivery; the order of sending within a lane.';
comment on column deliveries.notification_id is 'What is told: a notification.';
comment on column deliveries.endpoint is 'To whom: the name of an endpoint.';
comment on column deliveries.subject is 'Whom the notification concerns; null if nobody in particular.';
comment on column deliveries.lane is 'The subject, or an empty text without one. A test of an endpoint has a lane of its own.';
comment on column deliveries.type is 'The type of the notification.';
comment on column deliveries.message_id is
    'Under which id it is sent, at every attempt and to every endpoint: the receiver recognises a repetition by it.';
comment on column deliveries.body is 'What is sent, as it is.';
comment on column deliveries.state is
    'waiting: others of its lane come first; planned: is sent at next_attempt_at; sending: a worker has claimed it; delivered; dead: given up, '
    'until retry_deliveries().';
comment on column deliveries.attempts is 'How often it was claimed.';
comment on column deliveries.failures is 'How often sending it has failed since it was planned or retried: decides about the next attempt.';
comment on column deliveries.next_attempt_at is 'When it may be claimed: while it is sending, the end of the lease. null: not now.';
comment on column deliveries.worker is 'Who claimed it last.';
comment on column deliveries.status is 'The HTTP status of the last answer; null if there was none.';
comment on column deliveries.error is 'Why the last attempt failed.';
comment on column deliveries.created_at is 'When it was planned.';
comment on column deliveries.settled_at is 'When it was delivered, or given up.';

create table announced_periods (
    metric        text        collate "C" not null,
    next_start    timestamptz not null,
    after_subject text        collate "C",

    constraint announced_periods_pkey primary key (metric)
);

comment on table announced_periods is 'How far usage.aggregated has been written, while an endpoint asks for it.';
comment on column announced_periods.metric is 'Of which metric.';
comment on column announced_periods.next_start is 'The start of the first period that has not been announced, or not for all subjects.';
comment on column announced_periods.after_subject is 'Up to which subject that period has been announced; null: for none.';

create sequence spike_alert_ids as bigint;

comment on sequence spike_alert_ids is 'Numbers alerts about spikes. Gaps mean nothing.';

create table spike_alerts (
    spike_alert_id bigint      not null default nextval('spike_alert_ids'),
    metric         text        collate "C" not null,
    subject        text        collate "C",
    within         interval    not null,
    factor         numeric     not null,
    baseline       interval    not null,
    created_at     timestamptz not null default clock_timestamp(),

    constraint spike_alerts_pkey primary key (spike_alert_id),
    constraint spike_alerts_by_scope unique nulls not distinct (metric, subject, within),
    constraint factor_is_above_one check (factor > 1)
);

comment on table spike_alerts is 'Which usage counts as a spike: that of a window, if it is a multiple of what is usual.';
comment on column spike_alerts.spike_alert_id is 'Identifies the alert.';
comment on column spike_alerts.metric is 'Of which metric.';
comment on column spike_alerts.subject is 'Of which subject; null: of each by itself.';
comment on column spike_alerts.within is 'The length of the windows; they are counted from a Monday, UTC.';
comment on column spike_alerts.factor is 'From which multiple of the usual usage on.';
comment on column spike_alerts.baseline is 'How far back the usage is the usual one.';
comment on column spike_alerts.created_at is 'When it was set.';

create table detected_spikes (
    spike_alert_id bigint      not null,
    subject        text        collate "C" not null,
    window_start   timestamptz not null,

    constraint detected_spikes_pkey primary key (spike_alert_id, subject, window_start)
);

comment on table detected_spikes is 'Which spikes have been notified of, so that each is once. Kept as long as the window may be judged.';
comment on column detected_spikes.spike_alert_id is 'By which alert.';
comment on column detected_spikes.subject is 'Whose usage.';
comment on column detected_spikes.window_start is 'The start of the window.';

create type endpoint_status as (
    name text, url text, types text[], format text, secret_name text, since timestamptz, failing_since timestamptz, disabled_at timestamptz,
    disabled_reason text, created_at timestamptz, open_deliveries bigint, dead_deliveries bigint, oldest_open_at timestamptz);
comment on type endpoint_status is
    'An endpoint and its deliveries. open_deliveries: still to be sent, the oldest since oldest_open_at; dead_deliveries: given up. Each counted '
    'up to 10,000.';

create type claimed_delivery as (
    delivery_id bigint, attempt integer, message_id text, endpoint text, url text, format text, secret_name text, type text, subject text, body text,
    leased_until timestamptz);
comment on type claimed_delivery is 'A delivery to send now, by this worker alone until leased_until.';

create type settled_delivery as (delivery_id bigint, state text, next_attempt_at timestamptz);
comment on type settled_delivery is 'The state of a delivery after its result, and when it is sent again.';

-- An array of it is passed between functions.

create type delivery_result as (
    delivery_id bigint, attempt integer, message_id text, outcome text, status integer, error text, retry_after interval);
comment on type delivery_result is 'The result of one attempt, as settle_deliveries() receives it.';
