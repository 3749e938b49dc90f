-- depends: 0011-dropped-totals
-- What other roles can reach: locks in a table of the owner's, a list of what was installed, and grants that survive any restore.

create table locks (
    name text not null,

    constraint locks_pkey primary key (name)
);

comment on table locks is
    'One row for each thing that only one session may do at a time; who locks the row may do it. Rows and not advisory locks, which every '
    'role of the database can take.';
comment on column locks.name is 'catalog, maintain or rebuild.';

insert into locks (name) values ('catalog'), ('maintain'), ('rebuild');

create table installed_objects (
    kind text not null,
    name text not null,

    constraint installed_objects_pkey primary key (kind, name),
    constraint kind_is_known check (kind in ('function', 'relation'))
);

comment on table installed_objects is
    'The functions and relations that pymeter has installed, so that rights are changed on these and on nothing else in the schema.';
comment on column installed_objects.kind is 'function, or relation: a table, view or sequence.';
comment on column installed_objects.name is 'The name, without the schema. Partitions of the log are not listed.';

-- A regrole stops the restore of the whole table where one role is missing. An oid restores everywhere, and is the role only in the cluster
-- that it comes from; elsewhere the name is.
alter table access_grants alter column role type oid;
alter table access_grants add column role_name text;
alter table access_grants add column cluster bigint;
update access_grants g set
    role_name = coalesce((select r.rolname from pg_roles r where r.oid = g.role), g.role::text),
    cluster = (select system_identifier from pg_control_system());
alter table access_grants alter column role_name set not null;
alter table access_grants alter column cluster set not null;
alter table access_grants drop constraint access_grants_key;
alter table access_grants add constraint access_grants_key unique nulls not distinct (cluster, role, level, subject);

comment on column access_grants.role is 'Who was granted it: the oid of the role in that cluster.';
comment on column access_grants.role_name is 'The name that the role had when the row was last written; another cluster knows it by that.';
comment on column access_grants.cluster is 'The system identifier of the database cluster in which the oid is the role.';
