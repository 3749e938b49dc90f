-- depends: 0023-invoice-items
-- Keys of programs that speak HTTP.

create sequence api_key_ids as bigint;
comment on sequence api_key_ids is 'Numbers keys. Gaps mean nothing.';

create table api_keys (
    key_id       bigint      not null default nextval('api_key_ids'),
    created_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    name         text        collate "C" not null,
    level        text        collate "C" not null,
    subject      text        collate "C",
    created_by   text        collate "C" not null,
    digest       bytea       not null,

    constraint api_keys_pkey primary key (key_id),
    constraint api_keys_by_digest unique (digest),
    constraint level_is_known check (level in ('read', 'write', 'report', 'admin', 'approve')),
    constraint only_reading_is_bound_to_a_subject check (subject is null or level = 'read')
) with (fillfactor = 80);

comment on table api_keys is
    'The keys of programs that speak HTTP. Keys are not stored, only digests. A session that reads this table, or a backup, cannot use a key, but '
    'with the digest of a key of level read it can sign tokens, which read one subject. Changed only by create_api_key(), revoke_api_key() and '
    'erase_subject().';
comment on column api_keys.key_id is 'Identifies the key; a part of it.';
comment on column api_keys.created_at is 'When it was made.';
comment on column api_keys.expires_at is 'From when it is refused; null: never.';
comment on column api_keys.revoked_at is 'Since when it is refused; null: it was not revoked.';
comment on column api_keys.last_used_at is 'When it was last used, to the minute; null: never.';
comment on column api_keys.name is 'What people call it. erase_subject() removes it from keys of the subject.';
comment on column api_keys.level is 'What it may do: a level of grant_access().';
comment on column api_keys.subject is 'The one subject that it may read; null: no such limit.';
comment on column api_keys.created_by is 'The role that made it.';
comment on column api_keys.digest is 'The SHA-256 of the credential, which is the SHA-256 of the key. Signs tokens.';

create type api_key as (
    key_id bigint, name text, level text, subject text, created_at timestamptz, created_by text, expires_at timestamptz, revoked_at timestamptz,
    last_used_at timestamptz);
comment on type api_key is
    'Describes a key of a program that speaks HTTP; the key itself is not stored. last_used_at: accurate to the minute. A key is refused from '
    'expires_at and from revoked_at on.';

create type new_api_key as (
    key_id bigint, key text, name text, level text, subject text, expires_at timestamptz);
comment on type new_api_key is 'A new key. key: the key itself, which is returned only once.';

create type authentication as (key_id bigint, name text, level text, subject text, role text, expires_at timestamptz);
comment on type authentication is
    'Who a credential is of. level: read, write, report, admin, approve, or own: it reads one subject, by the functions that begin with own_. '
    'role: the role to take for the transaction; null: the session may take none with this level.';

alter table access_grants drop constraint level_is_known;
alter table access_grants add constraint level_is_known check (level in ('read', 'write', 'report', 'admin', 'approve', 'login', 'own'));
