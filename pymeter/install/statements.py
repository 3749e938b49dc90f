"""The installer's own SQL, as text: ``engine.py`` runs it, ``pymeter.bundle`` prints it.

Only statements used in both places are here, so a bundle and ``migrate`` cannot drift apart. Values are
quoted literals, because a bundle has no parameters.
"""

from __future__ import annotations

from pymeter.install.outcome import MigrateError
from pymeter.install.sources import Migration, Sources

# PostgreSQL cuts longer names with a notice, and two meters could then become one.
_NAME_BYTES_MAX = 63

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


def _array(names: tuple[str, ...]) -> str:
    return literal("{" + ",".join(names) + "}")


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """``value`` as an SQL literal; needs ``standard_conforming_strings``, which ``settings`` switches on."""
    return "'" + value.replace("'", "''") + "'"


def do(body: str) -> str:
    """``body`` as a DO statement, in a dollar quote that does not occur in it, whatever the schema's name."""
    tag = "$do$"
    while tag in body:
        tag = tag[:-1] + "_$"
    return f"DO {tag}\n{body.strip()}\n{tag};"


def check_schema_name(schema: str) -> None:
    """Refuse a schema name that PostgreSQL rejects or silently shortens."""
    if not schema or "\0" in schema or len(schema.encode()) > _NAME_BYTES_MAX:
        raise MigrateError(
            f"{schema!r} is no name for a schema: it needs 1 to {_NAME_BYTES_MAX} bytes, none of them zero"
        )
    if schema.startswith("pg_") or schema == "information_schema":
        raise MigrateError(f"{schema!r} is no name for a schema: PostgreSQL keeps it for itself")


def lock(schema: str) -> str:
    """Create the schema where it is missing, and wait until no other installer works on it.

    COMMENT ON SCHEMA locks the schema until the transaction ends, and only its owner can hold that lock: an
    advisory lock could be taken by every role of the database. The comment does not change. If two installers
    create the schema at once, the unique index of its name makes the second wait, and then find it.

    A transaction's lock works through a transaction-pooling proxy and cannot be left behind. Until the schema
    is known to be trusted, names are looked up in pg_catalog only.
    """
    create = f"""
DECLARE
    v_grantee oid;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal(schema)}) THEN
        CREATE SCHEMA {identifier(schema)};
        FOR v_grantee IN
            SELECT DISTINCT a.grantee FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
            WHERE n.nspname = {literal(schema)} AND a.grantee <> n.nspowner
        LOOP
            EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %s CASCADE', {literal(schema)},
                CASE v_grantee WHEN 0 THEN 'PUBLIC' ELSE v_grantee::regrole::text END);
        END LOOP;
    END IF;
EXCEPTION WHEN duplicate_schema OR unique_violation THEN
    NULL;
END
"""
    comment = f"""
BEGIN
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', {literal(schema)},
        (SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = {literal(schema)}));
END
"""
    return f"""
SET LOCAL standard_conforming_strings = on;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = 0;
SET LOCAL statement_timeout = 0;
{do(create)}
{check_owner(schema)}
{do(comment)}
"""


def check_owner(schema: str) -> str:
    """Refuse a schema of another role, before anything in it is used.

    Installed functions run with the rights of the installing role, and the schema's owner can add functions
    and triggers that they would use. The schema public belongs to the owner of the database.
    """
    owner_hint = (
        "Install and upgrade as the owner of the schema: connect as that role, or SET ROLE to it first"
        " (in a DSN: options=-c role=NAME). Or choose a schema of your own."
    )
    return do(
        f"""
DECLARE
    v_owner oid;
BEGIN
    SELECT nspowner INTO v_owner FROM pg_namespace WHERE nspname = {literal(schema)};
    IF v_owner = 'pg_database_owner'::regrole THEN
        SELECT datdba INTO v_owner FROM pg_database WHERE datname = current_database();
    END IF;
    IF v_owner <> (SELECT oid FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'the schema belongs to another role',
            DETAIL = format('Schema %I belongs to %s, this is %s.', {literal(schema)}, v_owner::regrole,
                quote_ident(current_user)),
            HINT = {literal(owner_hint)};
    END IF;
END
"""
    )


def check_contents(schema: str) -> str:
    """Refuse a schema in which another role may create, or has created, something.

    A function that matches a call better than PostgreSQL's own of the same name would run instead, with the
    installer's rights. Superusers are trusted.
    """
    return do(
        f"""
DECLARE
    v_schema oid := (SELECT oid FROM pg_namespace WHERE nspname = {literal(schema)});
    v_self   oid := (SELECT oid FROM pg_roles WHERE rolname = current_user);
    v_found  text;
BEGIN
    SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ')
    INTO v_found
    FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE n.oid = v_schema AND a.privilege_type = 'CREATE' AND a.grantee NOT IN (n.nspowner, v_self)
      AND r.rolsuper IS NOT TRUE;
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'other roles may create objects in the schema',
            DETAIL = format('Schema %I, roles: %s.', {literal(schema)}, v_found),
            HINT = format('REVOKE CREATE ON SCHEMA %I FROM %s; or choose a schema of your own.',
                {literal(schema)}, v_found);
    END IF;

    -- pg_shdepend knows the owner of an object of any kind, but for predefined roles.
    SELECT string_agg(pg_describe_object(o.class, o.oid, 0), ', ') INTO v_found
    FROM (
        SELECT DISTINCT o.class, o.oid
        FROM (
            SELECT d.classid, d.objid, s.refobjid
            FROM pg_depend AS d
            JOIN pg_shdepend AS s ON s.classid = d.classid AND s.objid = d.objid AND s.deptype = 'o'
                AND s.refclassid = 'pg_authid'::regclass
                AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = v_schema
            UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc WHERE pronamespace = v_schema
            UNION ALL
            SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator WHERE oprnamespace = v_schema
            UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type WHERE typnamespace = v_schema
            UNION ALL SELECT 'pg_class'::regclass, oid, relowner FROM pg_class WHERE relnamespace = v_schema
        ) AS o (class, oid, owner)
        JOIN pg_roles AS r ON r.oid = o.owner
        WHERE r.oid <> v_self AND NOT r.rolsuper AND NOT (r.oid = 'pg_database_owner'::regrole AND EXISTS (
            SELECT FROM pg_database WHERE datname = current_database() AND datdba = v_self))
        LIMIT 20
    ) AS o;
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'the schema holds objects of other roles',
            DETAIL = format('Schema %I: %s.', {literal(schema)}, v_found),
            HINT = 'Drop them or make them yours (ALTER ... OWNER TO, REASSIGN OWNED), after looking at what '
                'they do; or choose a schema of your own.';
    END IF;
END
"""
    )


def check_names(sources: Sources) -> str:
    """Refuse, before the first installation, a schema with functions that would be replaced by ours."""
    hint = (
        "Give pymeter a schema of its own. A dump that was restored without its data is no installation:"
        " drop the schema first."
    )
    return do(
        f"""
DECLARE
    v_found text := (
        SELECT string_agg(DISTINCT p.proname, ', ') FROM pg_proc AS p
        WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
          AND p.proname = ANY ({_array(sources.function_names)}::name[]));
BEGIN
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'the schema already has functions with the names of pymeter''s',
            DETAIL = format('Schema %I has %s.', current_schema(), left(v_found, 1000)),
            HINT = {literal(hint)};
    END IF;
END
"""
    )


def settings(schema: str) -> str:
    """The settings that the files need, until the end of the transaction.

    Functions keep this search_path (``SET search_path FROM CURRENT``). Bodies are checked at the end, by
    ``validate_all``, so files may be in any order. If a table is locked for longer than lock_timeout, the
    installation fails instead of making the application wait.
    """
    return f"""
SET LOCAL lock_timeout = '30s';
SET LOCAL client_min_messages = warning;
SET LOCAL check_function_bodies = off;
SET LOCAL search_path = {identifier(schema)}, pg_temp;
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
    PERFORM set_config('pymeter.functions', {_array(sources.function_names)}, true);
    PERFORM set_config('pymeter.relations', {_array(relations)}, true);
END
"""
    )


def keep_writers_out() -> str:
    """Wait for running calls to end, and block new ones until the migrations are committed.

    Every call reads the catalog first, so one lock on it is enough. Without it, migrations would lock tables
    one by one, in another order than writers, and could deadlock with them.

    A waiting request for this lock blocks all later calls. So it is retried for up to 30 seconds, each time
    for a quarter of a second at most. Once it is held, migrations wait for 2 seconds at most.
    """
    return do(
        """
DECLARE
    v_give_up timestamptz := clock_timestamp() + interval '30 seconds';
    v_millis  int := 50;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relname = 'metrics'
    ) THEN
        RETURN;
    END IF;
    LOOP
        PERFORM set_config('lock_timeout', v_millis || 'ms', true);
        BEGIN
            LOCK TABLE metrics IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF clock_timestamp() > v_give_up THEN
                RAISE EXCEPTION USING errcode = '55P03', message = 'other transactions use the meter',
                    hint = 'Nothing was changed. End the transactions that are open for long '
                        '(pg_stat_activity), and try again.';
            END IF;
        END;
        PERFORM pg_sleep(0.15);
        v_millis := least(v_millis * 2, 250);
    END LOOP;
    PERFORM set_config('lock_timeout', '2s', true);
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


# The functions of the schema that are ours to check; each language has a validator.
FUNCTIONS_TO_VALIDATE = """
SELECT f.oid, f.proname, f.prosrc, l.lanname
FROM pg_proc AS f
JOIN pg_namespace AS n ON n.oid = f.pronamespace
JOIN pg_language AS l ON l.oid = f.prolang
WHERE n.nspname = current_schema()
  AND l.lanname IN ('plpgsql', 'sql')
  AND pg_has_role(f.proowner, 'usage')
ORDER BY f.proname, f.oid
"""

VALIDATORS = {"plpgsql": "plpgsql_validator", "sql": "fmgr_sql_validator"}


def validate_all() -> str:
    """Check the body of every function. Creating them skips the check, because they call each other."""
    validate = f"""
DECLARE
    v_function record;
BEGIN
    FOR v_function IN {FUNCTIONS_TO_VALIDATE.strip()}
    LOOP
        IF v_function.lanname = 'plpgsql' THEN
            PERFORM plpgsql_validator(v_function.oid);
        ELSE
            PERFORM fmgr_sql_validator(v_function.oid);
        END IF;
    END LOOP;
END
"""
    return f"SET LOCAL check_function_bodies = on;\n{do(validate)}\n"


def first_maintenance() -> str:
    """Create the partitions of a new log. After an upgrade, the next maintain() does the work."""
    return do(
        """
BEGIN
    IF to_regproc('maintain') IS NOT NULL THEN
        PERFORM maintain();
    END IF;
END
"""
    )
