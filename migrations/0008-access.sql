-- depends: 0007-reporting
-- Who was granted what, when maintain() ran, and row types for both.

-- A regrole would stop the restore of the whole table where one role is missing. An oid restores everywhere, and is the role only in the
-- cluster that it comes from; elsewhere the name is.
create table access_grants (
    cluster    bigint      not null,
    role       oid         not null,
    role_name  text        collate "C" not null,
    level      text        collate "C" not null,
    subject    text        collate "C",
    granted_at timestamptz not null default now(),

    constraint access_grants_key unique nulls not distinct (cluster, role, level, subject),
    constraint level_is_known check (level in ('read', 'write', 'report', 'admin')),
    constraint only_reading_is_bound_to_a_subject check (subject is null or level = 'read')
);

comment on table access_grants is
    'What grant_access() has granted, so that an upgrade can extend it to the new functions of a level. The right itself is the privilege '
    'on the function: a row without it grants nothing. Changed only through grant_access() and revoke_access().';
comment on column access_grants.cluster is 'The system identifier of the database cluster in which the oid is the role.';
comment on column access_grants.role is 'Who was granted it: the oid of the role in that cluster.';
comment on column access_grants.role_name is 'The name that the role had when the row was last written; another cluster knows it by that.';
comment on column access_grants.level is 'read, write, report or admin.';
comment on column access_grants.subject is
    'The one subject that the role may read, through the functions whose names begin with own; null: no such limit.';
comment on column access_grants.granted_at is 'When it was first granted.';

create table maintenance (
    task    text        collate "C" not null,
    done_at timestamptz not null,

    constraint maintenance_pkey primary key (task)
);

comment on table maintenance is 'When each task of upkeep was last done, for health().';
comment on column maintenance.task is 'The function: maintain.';
comment on column maintenance.done_at is 'When the transaction began that did it.';

create type access_right as (
    role text, level text, subject text, complete boolean, rights text[], members text[]);
comment on type access_right is
    'What one role may do. level and subject: as they were granted, with the functions that this amounts to in rights; complete: whether '
    'these are all functions of the level. A null level: what the role has beside that, as privilege on object. members: the other roles '
    'that have it through membership, superusers left out.';

create type health as (
    healthy boolean, problems text[], notices text[], missing_partitions bigint, stray_events bigint,
    oldest_unreported_at timestamptz, last_maintained_at timestamptz, silent text[], bloated text[]);
comment on type health is
    'The state of a meter in one row. healthy: there are no problems; problems: what needs somebody now; notices: what may be worth a look. '
    'missing_partitions: of this month and the next three; stray_events: in the default partition, counted up to 10,000; '
    'oldest_unreported_at: null if all usage is reported, or none is to be; silent: subject and metric that stopped; bloated: tables.';
