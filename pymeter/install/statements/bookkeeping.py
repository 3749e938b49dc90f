"""What was installed: the tables of yoyo, and what grants.sql has to know."""

from __future__ import annotations

from pymeter.install.sources import Migration, Sources
from pymeter.install.statements.quoting import array, do, literal

# yoyo 9's own tables, created in our transaction (yoyo would commit them first). A test compares them with
# yoyo's.
_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS yoyo_lock (
    locked integer DEFAULT 1,
    ctime timestamp,
    pid integer NOT NULL,
    PRIMARY KEY (locked)
);
CREATE TABLE IF NOT EXISTS _yoyo_log (
    id varchar(36),
    migration_hash varchar(64),
    migration_id varchar(255),
    operation varchar(10),
    username varchar(255),
    hostname varchar(255),
    comment varchar(255),
    created_at_utc timestamp,
    PRIMARY KEY (id)
);
CREATE TABLE IF NOT EXISTS _yoyo_version (
    version integer NOT NULL PRIMARY KEY,
    installed_at_utc timestamp
);
CREATE TABLE IF NOT EXISTS _yoyo_migration (
    migration_hash varchar(64),
    migration_id varchar(255),
    applied_at_utc timestamp,
    PRIMARY KEY (migration_hash)
);
INSERT INTO _yoyo_version (version, installed_at_utc)
SELECT 2, clock_timestamp() AT TIME ZONE 'UTC'
WHERE NOT EXISTS (SELECT FROM _yoyo_version WHERE version >= 2);
"""
_BOOKKEEPING_TABLES = ("yoyo_lock", "_yoyo_log", "_yoyo_version", "_yoyo_migration")

# Rights that were given by hand are on what is there already; what is new can only have those that ALTER
# DEFAULT PRIVILEGES gave it.
_KNOWN_OBJECTS = """
DECLARE
    v_schema oid := quote_ident(current_schema())::regnamespace;
BEGIN
    PERFORM set_config('pymeter.known_functions',
        ARRAY(SELECT oid FROM pg_proc WHERE pronamespace = v_schema)::text, true);
    PERFORM set_config('pymeter.known_relations',
        ARRAY(SELECT oid FROM pg_class WHERE relnamespace = v_schema)::text, true);
END
"""


def prepare() -> str:
    """Create yoyo's tables, and note the existing objects for grants.sql.

    The table lock blocks a concurrent ``yoyo apply`` and grant_access(). A row that a killed yoyo left in
    yoyo_lock does not matter.
    """
    return f"""
{do(_KNOWN_OBJECTS)}
{_BOOKKEEPING.strip()}
LOCK TABLE yoyo_lock IN SHARE ROW EXCLUSIVE MODE;
"""


def note_objects(sources: Sources) -> str:
    """Note the names of pymeter's objects for grants.sql, which changes rights on these only."""
    relations = (*sources.relation_names, *_BOOKKEEPING_TABLES)
    return do(
        f"""
BEGIN
    PERFORM set_config('pymeter.functions', {array(sources.function_names)}, true);
    PERFORM set_config('pymeter.relations', {array(relations)}, true);
END
"""
    )


def note_migration(migration: Migration) -> str:
    """Record in yoyo's tables that ``migration`` was applied."""
    row = f"{literal(migration.hash)}, {literal(migration.id)}"
    return f"""
INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)
VALUES ({row}, clock_timestamp() AT TIME ZONE 'UTC');
INSERT INTO _yoyo_log (id, migration_hash, migration_id, operation, username, hostname, comment,
created_at_utc) VALUES (gen_random_uuid()::text, {row}, 'apply', session_user, host(inet_client_addr()),
'pymeter',
        clock_timestamp() AT TIME ZONE 'UTC');
"""


def note_installation(sources: Sources) -> str:
    """Add a row for this installation of the functions.

    It has the clock's time, not the transaction's: an installer that waited for the lock must not look older.
    """
    return f"""
INSERT INTO installation (version, sql_sha256, installed_at)
VALUES ({literal(sources.version)}, {literal(sources.sha256)}, clock_timestamp());
"""
