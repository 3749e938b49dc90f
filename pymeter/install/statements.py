"""The installer's own SQL, as text: ``engine.py`` runs it, ``pymeter.bundle`` prints it.

Only what is executed in both places stands here, so that a bundle and ``migrate`` cannot drift apart. Nothing
takes parameters: a bundle has none. Values come in as quoted literals.
"""

from __future__ import annotations

from pymeter.install.sources import Migration, Sources
from pymeter.migrate import MigrateError

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
    """Wait until no other installer works on ``schema``; the transaction's end lets the next one in.

    A transaction's lock and not a session's: it works through a transaction-pooling proxy and cannot be left
    behind.
    """
    key = literal(f"pymeter install {schema}")
    return f"""
SET LOCAL standard_conforming_strings = on;
SET LOCAL lock_timeout = 0;
SET LOCAL statement_timeout = 0;
{do(f"BEGIN PERFORM pg_advisory_xact_lock(hashtextextended({key}, 0)); END")}
"""


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


def prepare(schema: str) -> str:
    """Create the schema, where it is missing, and yoyo's tables in it.

    CREATE SCHEMA IF NOT EXISTS would demand CREATE on the database even where the schema is there, and
    to_regnamespace() may answer from a cache that is older than our wait for the lock. The table lock keeps
    a bare ``yoyo apply`` from starting beside us; a row that a killed yoyo left in yoyo_lock does not matter.
    What is there already is noted for grants.sql, which closes what is new.
    """
    name = identifier(schema)
    create = f"""
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal(schema)}) THEN
        CREATE SCHEMA {name};
    END IF;
END
"""
    return f"""
{do(create)}
{do(_KNOWN_OBJECTS)}
{_BOOKKEEPING.strip()}
LOCK TABLE yoyo_lock IN SHARE ROW EXCLUSIVE MODE;
"""


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
