"""Run the installation: one transaction, which commits everything or nothing.

lock            other installers of this schema wait, then find nothing to do
prepare         the schema and yoyo's bookkeeping
migrations      those that are pending, each with its bookkeeping row
functions       all of sql/, then the validators, then the row in ``installation``
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import psycopg

from pymeter._source import check_dsn
from pymeter.install import statements
from pymeter.install.sources import Migration, Sources, SqlFile, check_transactional, skip_blank
from pymeter.migrate import MigrateError, MigrateReport, Status
from pymeter.program_connection import BadDsn, checked_dsn, connect, transaction

_SERVER_VERSION_MIN = 150000

Connection = psycopg.Connection[tuple[object, ...]]


def install(sources: Sources, dsn: str, schema: str, *, downgrade: bool = False) -> MigrateReport:
    """Bring ``schema`` to what ``sources`` hold. See ``pymeter.migrate.migrate``."""
    statements.check_schema_name(schema)
    with _connect(dsn) as connection:
        with transaction(connection):
            found = _compare(connection, schema, sources)
        if not found.up_to_date or (downgrade and not found.functions_current):
            # After waiting for the lock, the next statement must see what the other installer committed: in a
            # READ COMMITTED transaction it does.
            with transaction(connection, mode="READ WRITE"):
                return _install(connection, schema, sources, downgrade=downgrade)
    return _report(found, sources, changed=False)


def compare(sources: Sources, dsn: str, schema: str) -> Status:
    """What is installed in ``schema``, compared with ``sources``."""
    statements.check_schema_name(schema)
    with _connect(dsn) as connection:
        try:
            with transaction(connection):
                return _compare(connection, schema, sources)
        except psycopg.errors.InsufficientPrivilege:
            return Status(schema, sources.version, None, None, (), (), (), False, False, visible=False)


@contextmanager
def _connect(dsn: str) -> Iterator[Connection]:
    """A connection whose errors come out as MigrateError, without the password that the DSN may hold."""
    check_dsn(dsn, "migrate")
    try:
        dsn = checked_dsn(dsn)
    except BadDsn as error:
        raise MigrateError(f"{error}. {error.hint}") from None
    try:
        with connect(dsn, "pymeter migrate") as connection:
            version = connection.info.server_version
            if version < _SERVER_VERSION_MIN:
                raise MigrateError(
                    f"pymeter needs PostgreSQL 15 or newer; this server has {version // 10000}"
                )
            yield connection
    except psycopg.OperationalError as error:
        raise MigrateError(
            f"the database cannot be used: {_sentence(error)}", sqlstate=error.sqlstate
        ) from error
    except psycopg.Error as error:
        raise MigrateError(_sentence(error), sqlstate=error.sqlstate) from error


# ---------------------------------------------------------------------------------------- what is there


class _Installed(NamedTuple):
    """What the schema says about itself."""

    migrations: tuple[str, ...]
    version: str | None
    sha256: str | None
    at: datetime | None


def _compare(connection: Connection, schema: str, sources: Sources) -> Status:
    installed = _read_installed(connection, schema)
    known = [migration.id for migration in sources.migrations]
    return Status(
        schema=schema,
        package_version=sources.version,
        installed_version=installed.version,
        installed_at=installed.at,
        applied=tuple(id for id in known if id in installed.migrations),
        pending=tuple(id for id in known if id not in installed.migrations),
        unknown=tuple(id for id in installed.migrations if id not in known),
        functions_current=installed.sha256 == sources.sha256,
        newer=installed.version is not None and _numbers(installed.version) > _numbers(sources.version),
    )


def _read_installed(connection: Connection, schema: str) -> _Installed:
    # Read from the catalogs: to_regclass() answers from a cache, and after a wait for an advisory lock that
    # cache does not know yet what the other installer committed.
    has_bookkeeping, has_installation = _row(
        connection,
        "SELECT count(*) FILTER (WHERE c.relname = '_yoyo_migration') > 0,"
        "       count(*) FILTER (WHERE c.relname = 'installation') > 0"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname IN ('_yoyo_migration', 'installation')",
        schema=schema,
    )
    if not has_bookkeeping:
        return _Installed((), None, None, None)
    name = statements.identifier(schema)
    rows = connection.execute(
        f"SELECT migration_id FROM {name}._yoyo_migration ORDER BY migration_id".encode()
    ).fetchall()
    migrations = tuple(str(row[0]) for row in rows)
    if not has_installation:
        if migrations:
            raise MigrateError(
                f"schema {schema!r} holds the migrations of another application;"
                " give pymeter a schema of its own"
            )
        return _Installed((), None, None, None)
    row = connection.execute(
        f"SELECT version, sql_sha256, installed_at FROM {name}.installation"
        " ORDER BY installed_at DESC LIMIT 1".encode()
    ).fetchone()
    version, sha256, at = row or (None, None, None)
    return _Installed(migrations, version, sha256, at)  # type: ignore[arg-type]


def _row(connection: Connection, query: str, **parameters: object) -> tuple[object, ...]:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row


def _numbers(version: str) -> tuple[int, ...]:
    """``0.10.2`` as something that can be compared."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _report(found: Status, sources: Sources, *, changed: bool) -> MigrateReport:
    return MigrateReport(
        schema=found.schema,
        version=sources.version if changed else found.installed_version or sources.version,
        previous_version=found.installed_version,
        migrations=found.pending if changed else (),
        functions_replaced=changed,
    )


# ------------------------------------------------------------------------------------------- the work


def _install(connection: Connection, schema: str, sources: Sources, *, downgrade: bool) -> MigrateReport:
    _run(connection, statements.lock(schema))
    found = _compare(connection, schema, sources)
    if found.up_to_date and not (downgrade and not found.functions_current):
        return _report(found, sources, changed=False)
    _run(connection, statements.settings(schema))
    _run(connection, statements.prepare(schema))
    if found.pending:
        _run(connection, statements.keep_writers_out())
    for migration in sources.migrations:
        if migration.id in found.pending:
            _apply_migration(connection, migration)
    for file in sources.functions:
        _run_file(connection, file, file.text)
    _validate(connection, sources)
    _run(connection, statements.note_installation(sources))
    if found.installed_version is None:
        _run(connection, statements.first_maintenance())
    return _report(found, sources, changed=True)


def _apply_migration(connection: Connection, migration: Migration) -> None:
    check_transactional(migration)
    for offset, statement in migration.statements():
        _run_file(connection, migration, statement, offset)
    _run(connection, statements.note_migration(migration))


def _validate(connection: Connection, sources: Sources) -> None:
    """``statements.validate_all``, but one function at a time, to say which one is broken."""
    _run(connection, "SET LOCAL check_function_bodies = on")
    for oid, name, body, language in connection.execute(statements.FUNCTIONS_TO_VALIDATE.encode()).fetchall():
        try:
            _row(connection, f"SELECT {statements.VALIDATORS[str(language)]}(%(oid)s)", oid=oid)
        except psycopg.Error as error:
            file = _file_of(str(name), str(body), sources)
            start = file.text.find(str(body))
            raise _located(error, file, max(start, 0)) from error


def _file_of(name: str, body: str, sources: Sources) -> SqlFile:
    """The file that defines a function: the one that holds its body, most likely the one with its name."""
    files = [*sources.functions, *sources.migrations]
    holding = [file for file in files if body in file.text]
    named = [file for file in holding if file.stem == name]
    return (named or holding or [SqlFile(f"function {name}", body)])[0]


def _run(connection: Connection, sql: str) -> None:
    # Bytes, because the type of psycopg's queries wants literals; there is nothing from outside in these.
    connection.execute(sql.encode())


def _run_file(connection: Connection, file: SqlFile, sql: str, offset: int = 0) -> None:
    """Run ``sql``, which stands at ``offset`` in ``file``; without parameters, so % is just a character."""
    try:
        connection.execute(sql.encode())
    except psycopg.Error as error:
        raise _located(error, file, offset) from error


def _located(error: psycopg.Error, file: SqlFile, offset: int) -> MigrateError:
    """``error`` with its place in the file; where the server gives none, that of the statement's begin."""
    position = error.diag.statement_position or error.diag.internal_position
    internal = error.diag.internal_query
    if position is None:
        offset = skip_blank(file.text, offset)
    elif internal is None:
        offset += int(position) - 1
    else:
        offset = max(file.text.find(internal), 0) + int(position) - 1
    return MigrateError(f"{file.name}:{file.line_at(offset)}: {_sentence(error)}", sqlstate=error.sqlstate)


def _sentence(error: psycopg.Error) -> str:
    """What the server said, in one piece; ``str(error)`` would repeat the statement's text."""
    parts = [error.diag.message_primary, error.diag.message_detail, error.diag.message_hint]
    return ". ".join(part.rstrip(".") for part in parts if part) or str(error).strip()
