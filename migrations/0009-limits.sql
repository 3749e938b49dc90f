-- depends: 0008-access
-- Settings, what administrators have changed, and limits: billing cycles, plans, quotas, and what fired.

create table settings (
    name       text        collate "C" not null,
    value      text        collate "C" not null,
    changed_at timestamptz not null default now(),

    constraint settings_pkey primary key (name)
);

comment on table settings is 'The settings that differ from their defaults, or have been set to them. Changed only by set_setting().';
comment on column settings.name is 'The name, as settings() lists it.';
comment on column settings.value is 'The value, as text.';
comment on column settings.changed_at is 'When it was last set.';

create sequence admin_log_ids as bigint;

comment on sequence admin_log_ids is 'Numbers the entries of admin_log. Gaps mean nothing.';

create table admin_log (
    entry_id    bigint      not null default nextval('admin_log_ids'),
    changed_at  timestamptz not null default clock_timestamp(),
    role        text        collate "C" not null,
    application text        collate "C" not null,
    action      text        collate "C" not null,
    object      text        collate "C" not null,
    before      jsonb,
    after       jsonb,

    constraint admin_log_pkey primary key (entry_id)
);

comment on table admin_log is 'One row for each change of a metric, limit, plan, subscription, billing cycle, setting or right.';
comment on column admin_log.entry_id is 'Ascending in the order of the changes.';
comment on column admin_log.changed_at is 'When it was changed.';
comment on column admin_log.role is 'The role that the session logged in as.';
comment on column admin_log.application is 'The session''s application_name.';
comment on column admin_log.action is 'The function that changed it.';
comment on column admin_log.object is 'What was changed: the key of a metric, the name of a setting, a subject, a plan or a role.';
comment on column admin_log.before is 'The row before the change; null if there was none.';
comment on column admin_log.after is 'The row after the change; null if there is none.';

create table billing_cycles (
    subject  text        collate "C" not null,
    since    timestamptz not null,
    anchor   timestamptz not null,
    timezone text        collate "C" not null,
    every    text        collate "C" not null,

    constraint billing_cycles_pkey primary key (subject, since),
    constraint every_is_known check (every in ('week', 'month', 'year'))
);

comment on table billing_cycles is
    'The rules of each subject''s billing cycles. A rule holds from since until the next one of the subject begins. Before the first, and for a '
    'subject without one, a cycle is a calendar month, UTC.';
comment on column billing_cycles.subject is 'Whose cycles.';
comment on column billing_cycles.since is 'From when the rule holds: the start of a cycle.';
comment on column billing_cycles.anchor is 'A start of a cycle; all others are whole weeks, months or years from it, by the clock of the time zone.';
comment on column billing_cycles.timezone is 'The time zone in which the cycles start at the anchor''s time of day.';
comment on column billing_cycles.every is 'The length of a cycle: week, month or year.';

create table plans (
    plan       text        collate "C" not null,
    name       text        collate "C",
    defined_at timestamptz not null default now(),

    constraint plans_pkey primary key (plan)
);

comment on table plans is 'The plans that subjects can subscribe to.';
comment on column plans.plan is 'The key of the plan.';
comment on column plans.name is 'A title for people; null when the key says enough.';
comment on column plans.defined_at is 'When it was first defined.';

create sequence subscription_ids as bigint;

comment on sequence subscription_ids is 'Numbers subscriptions. Gaps mean nothing.';

create table subscriptions (
    subscription_id bigint      not null default nextval('subscription_ids'),
    subject         text        collate "C" not null,
    plan            text        collate "C" not null,
    since           timestamptz not null,
    until           timestamptz,

    constraint subscriptions_pkey primary key (subscription_id),
    constraint since_is_before_until check (since < until)
);

create index subscriptions_by_subject on subscriptions (subject, plan, since);
create index subscriptions_by_plan on subscriptions (plan);

comment on table subscriptions is 'Which subject has which plan, in [since, until). Those of one subject and plan do not overlap.';
comment on column subscriptions.subscription_id is 'Identifies the subscription.';
comment on column subscriptions.subject is 'Who has the plan.';
comment on column subscriptions.plan is 'A key of plans.';
comment on column subscriptions.since is 'From when.';
comment on column subscriptions.until is 'Until when (exclusive); null: open.';

create sequence limit_ids as bigint;

comment on sequence limit_ids is 'Numbers versions of limits in the order in which they were written. Gaps mean nothing.';

create table limits (
    limit_id     bigint      not null default nextval('limit_ids'),
    metric       text        collate "C" not null,
    name         text        collate "C" not null,
    period       text        collate "C" not null,
    subject      text        collate "C",
    plan         text        collate "C",
    since        timestamptz not null,
    quota        numeric,
    action       text        collate "C" not null,
    marks        numeric[]   not null,
    every        numeric,
    rollover_min numeric,
    rollover_max numeric,
    removed      boolean     not null default false,
    created_at   timestamptz not null default now(),

    constraint limits_pkey primary key (limit_id),
    constraint action_is_known check (action in ('block', 'alert', 'none')),
    constraint subject_or_plan check (subject is null or plan is null),
    constraint quota_is_not_negative check (quota >= 0)
);

create index limits_with_rollover on limits (metric, subject) where rollover_min is not null or rollover_max is not null;
create index limits_by_metric on limits (metric, subject, plan, name, period, since);

comment on table limits is
    'The versions of limits. A version replaces the earlier ones of the same metric, name, period, subject and plan from since on; none is ever '
    'changed.';
comment on column limits.limit_id is 'Identifies the version.';
comment on column limits.metric is 'What is limited: a key of metrics.';
comment on column limits.name is 'Tells several limits of a metric apart.';
comment on column limits.period is 'A calendar unit (minute to year, or never), cycle, or a duration: the trailing window of that length.';
comment on column limits.subject is 'Whose limit; null: a plan''s or everyone''s.';
comment on column limits.plan is 'The limit of every subject that has this plan; null: a subject''s or everyone''s.';
comment on column limits.since is 'From when the version holds.';
comment on column limits.quota is 'How much may be used in a period, in the metric''s unit; null: unlimited.';
comment on column limits.action is 'What happens beyond the quota: block refuses events, alert only notifies, none does neither.';
comment on column limits.marks is 'Percentages of the quota at which a notification is written.';
comment on column limits.every is 'Beyond the quota, a notification is written at each further step of this size; null: no steps.';
comment on column limits.rollover_min is 'How much goes over to the next period at least, whatever is left; null: nothing.';
comment on column limits.rollover_max is
    'How much of what is left of the quota goes over to the next period at most; both null: nothing does.';
comment on column limits.removed is 'Whether this version ends the limit.';
comment on column limits.created_at is 'When the version was written.';

create table limited_subjects (
    subject text   collate "C" not null,
    version bigint not null default 0,

    constraint limited_subjects_pkey primary key (subject)
);

comment on table limited_subjects is
    'One row for each subject that has a series of a limited metric, or limits, a plan or a cycle of its own. Creating such a series locks the '
    'row, and so does a change of the subject''s limits, so that no new series misses the change.';
comment on column limited_subjects.subject is 'The subject.';
comment on column limited_subjects.version is 'How often its limits, plans and cycles have changed.';

create table fired_marks (
    limit_id     bigint      not null,
    subject      text        collate "C" not null,
    period_start timestamptz not null,
    kind         text        collate "C" not null,
    mark         numeric     not null,
    fired_at     timestamptz not null default now(),

    constraint fired_marks_pkey primary key (limit_id, subject, period_start, kind, mark),
    constraint kind_is_known check (kind in ('mark', 'step', 'refused', 'overflow', 'settle'))
);

comment on table fired_marks is 'Which marks of a limit have fired in a period, so that none fires twice.';
comment on column fired_marks.limit_id is 'The version of the limit.';
comment on column fired_marks.subject is 'Whose usage.';
comment on column fired_marks.period_start is 'The start of the period; -infinity for a trailing window.';
comment on column fired_marks.kind is 'mark: a percentage of the quota; step: a further step beyond it; refused: the first refusal; overflow: the first '
    'event that was counted in spite of the limit; settle: the first settlement of more than was held that did not fit.';
comment on column fired_marks.mark is 'The percentage, or the number of the step; 0 for the others.';
comment on column fired_marks.fired_at is 'When it fired.';

create sequence notification_ids as bigint;

comment on sequence notification_ids is 'Numbers notifications. Gaps mean nothing.';

create table notifications (
    notification_id bigint      not null default nextval('notification_ids'),
    type            text        collate "C" not null,
    subject         text        collate "C",
    metric          text        collate "C",
    data            jsonb       not null,
    created_at      timestamptz not null default clock_timestamp(),

    constraint notifications_pkey primary key (notification_id)
);

comment on table notifications is 'What there is to tell, written in the transaction that it tells of.';
comment on column notifications.notification_id is 'Identifies the notification.';
comment on column notifications.type is 'What happened, such as threshold.exceeded.';
comment on column notifications.subject is 'Whom it concerns; null if nobody in particular.';
comment on column notifications.metric is 'Which metric; null if none in particular.';
comment on column notifications.data is 'The facts, a JSON object.';
comment on column notifications.created_at is 'When it was written.';

-- What recording has to know of limits.

alter table metrics add column limited boolean not null default false;

comment on column metrics.limited is 'Whether there has been a limit for the metric: recording then looks at limits.';

alter table series add column unchecked_below numeric not null default 'infinity';
alter table series add column unchecked_until timestamptz not null default 'infinity';
alter table series add column exhausted_at numeric;
alter table series add column limited_by text collate "C";

comment on column series.unchecked_below is
    'An event of the open fine bucket that leaves coarse_total below this needs no look at the limits: none refuses it, and no mark fires. '
    'infinity: there are no limits.';
comment on column series.unchecked_until is
    'When unchecked_below stops to hold, because another version of a limit begins, a reservation expires or a trailing window moves.';
comment on column series.exhausted_at is 'The coarse_total at which the limit that binds is used up; null: none binds.';
comment on column series.limited_by is 'The name of that limit.';

alter type recorded add attribute remaining numeric;
alter type recorded add attribute limited_by text;

comment on type recorded is
    'What record() did. outcome: recorded, duplicate, conflict or refused; event_id: the event that counts (the first one, for a repeat; null if '
    'refused); quantity: the aggregate of the period [period_start, period_end) that it counts in; period_end is null when it never ends. '
    'remaining: what the limit that binds leaves; limited_by: the name of that limit; both null without a limit.';

alter type quota_status add attribute held numeric;
alter type quota_status add attribute overrun numeric;
alter type quota_status add attribute limited_by text;

comment on type quota_status is
    'How usage stands to a quota in the window [since, until); remaining is never negative. A side of the window that is open is null. held: '
    'what reservations hold; overrun: what was used beyond the quota; limited_by: the name of the limit that the quota is of, null for a quota '
    'that was passed.';

create type setting as (name text, value text, default_value text, description text);
comment on type setting is 'A setting of the meter: its value, its default, and what it does.';

create type effective_limit as (
    limit_id bigint, metric text, name text, period text, source text, plan text, quota numeric, action text, since timestamptz,
    until timestamptz, counts boolean, reason text, marks numeric[], every numeric);
comment on type effective_limit is
    'A limit as it holds for a subject at a time, in the period [since, until). source: subject, plan or everyone. counts: whether it is the one '
    'that counts of its name and period; reason: why, or what shadows it.';

create type overrun as (
    subject text, metric text, limited_by text, period text, since timestamptz, until timestamptz, used numeric, quota numeric, overrun numeric,
    unit text, cause text);
comment on type overrun is
    'A limit that blocks, and of which more is used and held in [since, until) than its quota and top-ups. cause: overflow (events were counted in '
    'spite of it), settle (more was settled than a reservation held), top_up (a top-up that covered some of it was voided) or limit (it was set, '
    'lowered or replaced when more had been used or was held).';

-- Arrays of this type are passed between functions.

create type limit_check as (
    limit_id bigint, name text, period text, action text, quota numeric, since timestamptz, until timestamptz, is_trailing boolean,
    used numeric, held numeric, remaining numeric, overrun numeric, marks numeric[], every numeric);
comment on type limit_check is
    'A limit that counts for an event, and how much is used in its period [since, until). is_trailing: the period is a trailing window. held: what '
    'reservations hold; remaining: what may still be used; overrun: what was used or held beyond what may be.';
