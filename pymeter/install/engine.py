"""Run the installation: one transaction, which commits everything or nothing.

lock            the schema is there and the installer's own; other installers wait, then find nothing to do
prepare         yoyo's bookkeeping
migrations      those that are pending, each with its bookkeeping row
functions       all of sql/, then the validators, then the row in ``installation``
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from typing import NamedTuple

import psycopg

from pymeter._source import check_dsn
from pymeter.install import statements
from pymeter.install.outcome import MigrateError, MigrateReport, Status
from pymeter.install.sources import GRANTS, Migration, Sources, SqlFile, check_transactional, skip_blank
from pymeter.program_connection import BadDsn, checked_dsn, connect, transaction

_SERVER_VERSION_MIN = 150000

_BUSY = (
    "A session keeps a lock on the meter: wait for the end of its transaction, or end it"
    " (pg_blocking_pids() and pg_stat_activity show which one it is), and run pymeter migrate again"
)

Connection = psycopg.Connection[tuple[object, ...]]


def install(sources: Sources, dsn: str, schema: str, *, downgrade: bool = False) -> MigrateReport:
    """Install ``sources`` into ``schema``, or upgrade it. See ``pymeter.migrate.migrate``."""
    statements.check_schema_name(schema)
    with _connect(dsn) as connection:
        # The schema may be another role's: nothing of it is looked up in a program's transaction.
        with transaction(connection):
            _run(connection, statements.stay_local(schema))
            _run(connection, statements.check_owner(schema))
            found = _compare(connection, schema, sources)
            todo = _todo(connection, found, downgrade=downgrade)
        if todo is not _Todo.NOTHING:
            # After waiting for the lock, the next statement must see what the other installer committed: in a
            # READ COMMITTED transaction it does.
            with transaction(connection, mode="READ WRITE"):
                return _install(connection, schema, sources, downgrade=downgrade)
    return _report(found, sources, _Todo.NOTHING)


def compare(sources: Sources, dsn: str, schema: str) -> Status:
    """Compare what is installed in ``schema`` with ``sources``."""
    statements.check_schema_name(schema)
    with _connect(dsn) as connection:
        try:
            with transaction(connection):
                return _compare(connection, schema, sources)
        except psycopg.errors.InsufficientPrivilege:
            return Status(schema, sources.version, None, None, (), (), (), False, False, visible=False)


@contextmanager
def _connect(dsn: str) -> Iterator[Connection]:
    """A connection whose errors are raised as MigrateError, without the password of the DSN."""
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
    """What the schema's own tables record about the installation."""

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
        open_functions=_open_functions(connection, schema, sources),
        newer=installed.version is not None and _numbers(installed.version) > _numbers(sources.version),
    )


def _read_installed(connection: Connection, schema: str) -> _Installed:
    # Read from the catalogs: to_regclass() answers from a cache, and after a wait for a lock that cache does
    # not know yet what the other installer committed.
    relations = connection.execute(
        "SELECT c.relname, c.relkind = 'r' AND NOT c.relrowsecurity"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname IN ('_yoyo_migration', 'installation')",
        {"schema": schema},
    ).fetchall()
    # Reading a view or a table with policies runs its owner's code with the rights of the reader.
    if not all(is_plain for _, is_plain in relations):
        raise MigrateError(f"schema {schema!r} holds something else under the names of pymeter's tables")
    has_bookkeeping, has_installation = (
        any(relation == name for relation, _ in relations) for name in ("_yoyo_migration", "installation")
    )
    if not has_bookkeeping:
        return _Installed((), None, None, None)
    name = statements.identifier(schema)
    rows = connection.execute(
        f"SELECT migration_id FROM ONLY {name}._yoyo_migration ORDER BY migration_id".encode()
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
        f"SELECT version, sql_sha256, installed_at FROM ONLY {name}.installation"
        " ORDER BY installed_at DESC LIMIT 1".encode()
    ).fetchone()
    version, sha256, at = row or (None, None, None)
    return _Installed(migrations, version, sha256, at)  # type: ignore[arg-type]


def _open_functions(connection: Connection, schema: str, sources: Sources) -> tuple[str, ...]:
    """SECURITY DEFINER functions that PUBLIC may call, because a restore has lost their privileges."""
    rows = connection.execute(
        "SELECT DISTINCT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE n.nspname = %(schema)s AND p.prosecdef AND p.proname = ANY (%(names)s)"
        " AND has_function_privilege('public', p.oid, 'execute') ORDER BY p.proname",
        {"schema": schema, "names": list(sources.function_names)},
    ).fetchall()
    return tuple(str(name) for (name,) in rows)


def _row(connection: Connection, query: str, **parameters: object) -> tuple[object, ...]:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row


def _numbers(version: str) -> tuple[int, ...]:
    """``0.10.2`` as a comparable tuple."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


class _Todo(Enum):
    """What an installation has to do."""

    NOTHING = 0
    RIGHTS = 1
    """Tables and functions stay as they are; rights that a restore has lost are repaired."""
    EVERYTHING = 2


def _todo(connection: Connection, found: Status, *, downgrade: bool) -> _Todo:
    outdated = not found.newer and (found.pending or not found.functions_current)
    if outdated or (downgrade and not found.functions_current):
        return _Todo.EVERYTHING
    if found.open_functions or _has_lost_rights(connection, found.schema):
        return _Todo.RIGHTS
    return _Todo.NOTHING


def _has_lost_rights(connection: Connection, schema: str) -> bool:
    """Whether rights were lost, by the schema's own function. Only called if this role owns the schema."""
    (exists,) = _row(
        connection,
        "SELECT count(*) > 0 FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE n.nspname = %(schema)s AND p.proname = '_has_lost_rights'",
        schema=schema,
    )
    if not exists:
        return False
    (lost,) = _row(connection, f"SELECT {statements.identifier(schema)}._has_lost_rights()")
    return bool(lost)


def _report(found: Status, sources: Sources, todo: _Todo) -> MigrateReport:
    changed = todo is _Todo.EVERYTHING
    return MigrateReport(
        schema=found.schema,
        version=sources.version if changed else found.installed_version or sources.version,
        previous_version=found.installed_version,
        migrations=found.pending if changed else (),
        functions_replaced=changed,
        rights_repaired=todo is _Todo.RIGHTS,
    )


# ------------------------------------------------------------------------------------------- the work


def _install(connection: Connection, schema: str, sources: Sources, *, downgrade: bool) -> MigrateReport:
    _run(connection, statements.stay_local(schema))
    _run(connection, statements.lock(schema))
    found = _compare(connection, schema, sources)
    todo = _todo(connection, found, downgrade=downgrade)
    if todo is _Todo.NOTHING:
        return _report(found, sources, todo)
    _check_history(found)
    first = found.installed_version is None
    _run(connection, statements.check_contents(schema))
    _run(connection, statements.settings(schema))
    _run(connection, statements.prepare())
    if todo is _Todo.RIGHTS:
        for file in sources.functions:
            if file.stem == GRANTS:
                _run_file(connection, file, file.text)
        return _report(found, sources, todo)
    if not found.applied:
        _run(connection, statements.check_names(sources))
    _run(connection, statements.note_objects(sources))
    if found.pending:
        _run(connection, statements.keep_writers_out())
    _run(connection, statements.drop_row_defaults())
    for migration in sources.migrations:
        if migration.id in found.pending:
            _apply_migration(connection, migration)
    for file in sources.functions:
        _run_file(connection, file, file.text)
    _validate(connection, sources)
    _run(connection, statements.note_installation(sources))
    if first:
        _run(connection, statements.first_maintenance())
    return _report(found, sources, todo)


def _check_history(found: Status) -> None:
    """Refuse a schema whose migrations are not the first ones of this version's.

    Version 0.2.0 replaced the migrations of the versions before it, none of which was released.
    """
    if found.unknown and not found.newer:
        raise MigrateError(
            f"schema {found.schema!r} was installed by version {found.installed_version}, whose migrations"
            f" this version does not have ({found.unknown[0]}). Export its events with that version, and"
            " import them into a new schema"
        )


def _apply_migration(connection: Connection, migration: Migration) -> None:
    check_transactional(migration)
    for offset, statement in migration.statements():
        _run_file(connection, migration, statement, offset)
    _run(connection, statements.note_migration(migration))


def _validate(connection: Connection, sources: Sources) -> None:
    """As ``statements.validate_all``, one function at a time, to name the broken one."""
    _run(connection, "SET LOCAL check_function_bodies = on")
    for oid, name, body, language in connection.execute(statements.FUNCTIONS_TO_VALIDATE.encode()).fetchall():
        try:
            _row(connection, f"SELECT {statements.VALIDATORS[str(language)]}(%(oid)s)", oid=oid)
        except psycopg.Error as error:
            file = _file_of(str(name), str(body), sources)
            start = file.text.find(str(body))
            raise _located(error, file, max(start, 0)) from error


def _file_of(name: str, body: str, sources: Sources) -> SqlFile:
    """The file that contains the function's body; files named after the function come first."""
    files = [*sources.functions, *sources.migrations]
    holding = [file for file in files if body in file.text]
    named = [file for file in holding if file.stem == name]
    return (named or holding or [SqlFile(f"function {name}", body)])[0]


def _run(connection: Connection, sql: str) -> None:
    # Bytes, because the type of psycopg's queries wants literals; there is nothing from outside in these.
    connection.execute(sql.encode())


def _run_file(connection: Connection, file: SqlFile, sql: str, offset: int = 0) -> None:
    """Run ``sql``, which is at ``offset`` in ``file``. Without parameters, so % needs no escape."""
    try:
        connection.execute(sql.encode())
    except psycopg.Error as error:
        raise _located(error, file, offset) from error


def _located(error: psycopg.Error, file: SqlFile, offset: int) -> MigrateError:
    """``error`` with its line in the file; the statement's first line if the server gives no position."""
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
    """The server's message, detail and hint; ``str(error)`` would repeat the statement."""
    hint = error.diag.message_hint or (_BUSY if error.sqlstate == "55P03" else None)
    parts = [error.diag.message_primary, error.diag.message_detail, hint]
    return ". ".join(part.rstrip(".") for part in parts if part) or str(error).strip()
