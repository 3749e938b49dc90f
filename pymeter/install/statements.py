"""The installer's own SQL, as text: ``engine.py`` runs it, ``pymeter.bundle`` prints it.

Only what is executed in both places stands here, so that a bundle and ``migrate`` cannot drift apart. Nothing
takes parameters: a bundle has none. Values come in as quoted literals.
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
    """Refuse what PostgreSQL cannot take, or would silently shorten, as the name of a schema."""
    if not schema or "\0" in schema or len(schema.encode()) > _NAME_BYTES_MAX:
        raise MigrateError(
            f"{schema!r} is no name for a schema: it needs 1 to {_NAME_BYTES_MAX} bytes, none of them zero"
        )
    if schema.startswith("pg_") or schema == "information_schema":
        raise MigrateError(f"{schema!r} is no name for a schema: PostgreSQL keeps it for itself")


def lock(schema: str) -> str:
    """Create the schema where it is missing, and wait until no other installer works on it.

    COMMENT ON SCHEMA locks the schema until the transaction ends, and only its owner can hold that lock: an
    advisory lock could be taken by every role of the database. The comment stays what it is. Two that create
    the schema at once meet in the index of its name, and the second finds it there.

    A transaction's lock works through a transaction-pooling proxy and cannot be left behind. Only what
    pg_catalog has is looked up by name until it is known that the schema can be trusted.
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

    What is installed runs with the rights of the role that installs, and whoever owns the schema can put
    functions and triggers in its way. The schema public belongs to the owner of the database.
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

    A function that fits a call better than PostgreSQL's own of the same name would be called instead of it,
    with the installer's rights. Superusers are trusted: they can do everything anyway.
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
    """What the files rely on, until the end of the transaction.

    Functions keep this search_path (``SET search_path FROM CURRENT``). Bodies are checked at the end, by
    ``validate_all``, so the order of the files does not depend on who calls whom. A table that is busy for
    longer than the lock_timeout makes the installation fail, not the application wait behind it.
    """
    return f"""
SET LOCAL lock_timeout = '30s';
SET LOCAL client_min_messages = warning;
SET LOCAL check_function_bodies = off;
SET LOCAL search_path = {identifier(schema)}, pg_temp;
"""


def prepare() -> str:
    """Create yoyo's tables, and note for grants.sql what there is already.

    The table lock keeps a bare ``yoyo apply`` from starting beside us, and grant_access() too; a row that a
    killed yoyo left in yoyo_lock does not matter.
    """
    return f"""
{do(_KNOWN_OBJECTS)}
{_BOOKKEEPING.strip()}
LOCK TABLE yoyo_lock IN SHARE ROW EXCLUSIVE MODE;
"""


def note_objects(sources: Sources) -> str:
    """Note for grants.sql the names of what pymeter installs: rights are changed on these alone."""
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
    """Wait until nobody records or asks, and let nobody begin before the migrations are committed.

    Everybody reads the catalog first, so one lock on it does. Without it, migrations would lock tables one by
    one, in an order of their own, and could wait for a writer that waits for them.

    A request for this lock makes everybody wait who comes after it. So it is repeated for up to 30 seconds, a
    quarter of a second at most at a time. With the lock, migrations wait for 2 seconds at most.
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
    """Tell yoyo that ``migration`` has been applied."""
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
    """One row for each time that the functions were installed.

    The clock and not the transaction's start: who waited for the lock must not look older than who had it.
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
    """Check the body of every function: switched off while they are created, because they call each other."""
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
    """The partitions of a new log. An upgrade leaves what there is to do to the next maintain()."""
    return do(
        """
BEGIN
    IF to_regproc('maintain') IS NOT NULL THEN
        PERFORM maintain();
    END IF;
END
"""
    )
