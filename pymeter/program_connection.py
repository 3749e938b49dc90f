"""Connections of pymeter's own programs: the command line, the reporter, migrate, the importer.

A server, a database or a role may have any defaults: another isolation level, another DateStyle, a short
statement_timeout. So every transaction of a program begins with the settings that the program relies on. They
end with the transaction: behind a pgbouncer that pools transactions the session is another client's then.

The library never does this: a connection given to ``Meter`` is the caller's.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from pymeter.async_client import AsyncConnectionPool
    from pymeter.client import ConnectionPool

_CONNECT_SECONDS_MAX = 15

# Timeouts that were given to this very session (PGOPTIONS, the DSN's options, SET) are kept: somebody means
# them. A default for everybody's short statements is not meant for a rebuild or a batch.
_SETTINGS = """
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL DateStyle = 'ISO, MDY';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL TimeZone = 'UTC';
SET LOCAL standard_conforming_strings = on;
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')
  AND setting <> '0' AND source NOT IN ('client', 'session');
"""


class BadDsn(ValueError):
    """The DSN cannot be understood. Its text is not repeated: it may hold a password."""

    hint = "Write it as postgresql://user@host:5432/database, with special characters percent-encoded."

    def __init__(self) -> None:
        super().__init__("the DSN is not a valid connection string")


def checked_dsn(dsn: str) -> str:
    """The DSN, if libpq understands it. ``postgresql+driver://``, as other tools write it, is accepted."""
    dsn = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", dsn.strip())
    userinfo = re.match(r"^postgres(?:ql)?://([^?]*)@", dsn)
    if userinfo and re.search(r"[@/]", userinfo[1]):
        # libpq would take a part of the password for the host, and print it.
        raise BadDsn
    try:
        conninfo_to_dict(dsn)
    except psycopg.Error:
        raise BadDsn from None
    return dsn


def connection_options(
    dsn: str, application_name: str = "pymeter", connect_seconds: int = _CONNECT_SECONDS_MAX
) -> dict[str, Any]:
    """What to add to the DSN. Works through a pgbouncer that pools transactions."""
    options: dict[str, Any] = {"autocommit": True, "prepare_threshold": None, "client_encoding": "utf8"}
    given = conninfo_to_dict(dsn)
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
        options["connect_timeout"] = connect_seconds
    if "application_name" not in given:
        options["application_name"] = application_name
    return options


def connect(dsn: str, application_name: str = "pymeter") -> psycopg.Connection[Any]:
    """A connection of a program. What it does goes into a `transaction`, by ``ProgramPool`` for a Meter."""
    return psycopg.connect(dsn, **connection_options(dsn, application_name))


@contextmanager
def transaction(
    connection: psycopg.Connection[Any], *, mode: str | None = None, isolation: str = "READ COMMITTED"
) -> Iterator[None]:
    """A transaction with the settings of a program; `mode` as for `ProgramPool`."""
    with connection.transaction():
        connection.execute(_beginning(connection, mode, isolation))
        yield


def _beginning(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
    mode: str | None,
    isolation: str = "READ COMMITTED",
) -> bytes:
    # A hot standby reports itself, and refuses the very words READ WRITE.
    if mode == "READ WRITE" and connection.info.parameter_status("in_hot_standby") == "on":
        mode = None
    modes = f"ISOLATION LEVEL {isolation}" + (f", {mode}" if mode else "")
    return f"SET TRANSACTION {modes};{_SETTINGS}".encode()


class ProgramPool:
    """Lends connections in a `transaction`: give it to ``Meter``, and every call is one.

    `mode` is READ WRITE to write although the default is read only, READ ONLY, or None to keep the default. A
    pool's connection to a server that turned out to be read only is closed: the primary may be elsewhere now.
    """

    def __init__(self, source: psycopg.Connection[Any] | ConnectionPool, *, mode: str | None = None) -> None:
        self._source = source
        self._mode = mode

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """A connection, in a transaction."""
        return self._lend()

    @contextmanager
    def _lend(self) -> Iterator[psycopg.Connection[Any]]:
        if isinstance(self._source, psycopg.Connection):
            with transaction(self._source, mode=self._mode):
                yield self._source
            return
        with self._source.connection() as connection:
            try:
                with transaction(connection, mode=self._mode):
                    yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                connection.close()
                raise


class AsyncProgramPool:
    """As ``ProgramPool``, for an ``AsyncMeter`` on a pool."""

    def __init__(self, source: AsyncConnectionPool, *, mode: str | None = None) -> None:
        self._source = source
        self._mode = mode

    def connection(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        """A connection, in a transaction."""
        return self._lend()

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with self._source.connection() as connection:
            try:
                async with connection.transaction():
                    await connection.execute(_beginning(connection, self._mode))
                    yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                await connection.close()
                raise
