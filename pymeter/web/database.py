"""A transaction for each request, in the role of the request's key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from pymeter.program_connection import checked_dsn, connection_options
from pymeter.web.auth import FailedAttempts, check_expiry, credential_of, key_credential
from pymeter.web.borrowed import as_expected
from pymeter.web.cutting import cut_off_after
from pymeter.web.problems import Problem

# One message, and so one round trip; a role or a server may have any defaults.
_BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL DateStyle = 'ISO, MDY';
SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL TimeZone = 'UTC';
SET LOCAL standard_conforming_strings = on;
SET LOCAL statement_timeout = {timeout};
SET LOCAL lock_timeout = {timeout};
SET LOCAL idle_in_transaction_session_timeout = {idle};
"""
# The role and read-only mode are set after authenticate(), which notes when the key was used.
_AUTHENTICATE = """
SELECT a.*, CASE WHEN a.role IS NOT NULL THEN set_config('role', a.role, true) END,
       CASE WHEN %s AND a.role IS NOT NULL THEN set_config('transaction_read_only', 'on', true) END
FROM {}.authenticate(%s) a
"""
# A role of the server that may call the function: for what the server itself has to know.
_ROLE_FOR = """
SELECT r.rolname FROM pg_roles r, pg_proc p
WHERE pg_has_role(session_user, r.oid, 'member') AND r.rolname <> session_user
  AND p.proname = %s AND p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
  AND has_function_privilege(r.oid, p.oid, 'execute')
ORDER BY 1 LIMIT 1
"""

_CONNECT_SECONDS_MAX = 5
_RECONNECT_SECONDS_MAX = 3.0
_ANSWER_SECONDS = 2.0  # how much longer than a statement a request may hold a connection

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True)
class Session:
    """A transaction in the role of the request's key."""

    connection: Connection
    key_id: int
    name: str
    level: str
    subject: str | None
    """For the level own: the subject that may be read."""


class Database:
    """The connections of the application. `pool` is the caller's: it is neither opened nor closed here."""

    def __init__(
        self,
        dsn: str | None,
        pool: AsyncConnectionPool[Any] | None,
        *,
        schema: str,
        connections: int,
        waiting: int,
        wait_seconds: float,
        statement_seconds: float,
        attempts: FailedAttempts,
    ) -> None:
        self.schema = schema
        self.attempts = attempts
        self._dsn = None if dsn is None else checked_dsn(dsn)
        self._pool = pool
        self._owned: AsyncConnectionPool[Any] | None = None
        self._opening = asyncio.Lock()
        self._sizes = {"max_size": connections, "max_waiting": waiting, "timeout": wait_seconds}
        milliseconds = max(int(statement_seconds * 1000), 1)
        self._seconds = statement_seconds + _ANSWER_SECONDS
        self._begin = _BEGIN.format(timeout=milliseconds, idle=milliseconds * 2).encode()
        self._authenticate = sql.SQL(_AUTHENTICATE).format(sql.Identifier(schema)).as_bytes(None)

    async def close(self) -> None:
        """Close the connections, if they are the application's own."""
        if self._owned is not None:
            await self._owned.close()
            self._owned = None

    async def _opened(self) -> AsyncConnectionPool[Any]:
        """The pool; it is opened by the first request, because mounted applications have no lifespan."""
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._owned is None:
                assert self._dsn is not None
                pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
                    self._dsn,
                    kwargs=connection_options(self._dsn, "pymeter web", _CONNECT_SECONDS_MAX),
                    min_size=1,
                    open=False,
                    # Then the next request tries: after a long failure the pool would pause for minutes.
                    reconnect_timeout=_RECONNECT_SECONDS_MAX,
                    **self._sizes,  # type: ignore[arg-type]
                )
                await pool.open()
                self._owned = pool
            return self._owned

    @asynccontextmanager
    async def session(
        self, request: Request, *, reads: bool = False, token_in_query: bool = False
    ) -> AsyncIterator[Session]:
        """The transaction of a request, in the role of its key; read only if `reads`.

        An exception in the block rolls it back. Raises Problem 401, 403, 429 or 503.
        """
        address, credential = self.check_form(request, token_in_query=token_in_query)
        async with self.transaction() as connection:
            yield await self._take_role(connection, credential, address, reads)

    @asynccontextmanager
    async def snapshot(self, request: Request, *, token_in_query: bool = False) -> AsyncIterator[Session]:
        """As session(): all answers are of one instant, and nothing can change."""
        address, credential = self.check_form(request, token_in_query=token_in_query)
        async with self.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield await self._take_role(connection, credential, address, True)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction in the role that has logged in, which may do nothing but authenticate.

        It is committed at the end, and rolled back after an exception. OperationalError if the database
        answers too late, to COMMIT too.
        """
        pool = await self._opened()
        async with pool.connection() as connection:
            with as_expected(connection):
                async with _in_autocommit(connection), cut_off_after(connection, self._seconds):
                    try:
                        await connection.execute(self._begin)
                        yield connection
                        await connection.commit()
                    except psycopg.errors.ReadOnlySqlTransaction:
                        await connection.close()  # to a standby: the primary may be elsewhere now
                        raise
                    except BaseException:
                        with suppress(psycopg.Error):
                            await connection.rollback()
                        raise

    def check_form(self, request: Request, *, token_in_query: bool = False) -> tuple[str, str]:
        """The address and the credential. For before the body is read: it asks no database.

        Raises Problem 401 without a credential or with a malformed one, and 429.
        """
        address = _address(request)
        try:
            credential = credential_of(request, in_query=token_in_query)
        except Problem:
            self.attempts.check(address, None)
            if request.headers.get("authorization"):
                self.attempts.failed(address, None)
            raise
        check_expiry(credential)
        self.attempts.check(address, credential)
        return address, credential

    async def _take_role(self, connection: Connection, credential: str, address: str, reads: bool) -> Session:
        try:
            cursor = connection.cursor(row_factory=dict_row)
            row = await (await cursor.execute(self._authenticate, [reads, credential])).fetchone()
        except psycopg.errors.InvalidAuthorizationSpecification:
            if address:
                self.attempts.failed(address, credential)
            raise
        assert row is not None
        self.attempts.accepted(credential)
        if row["role"] is None:
            raise Problem(
                403,
                "this server accepts no keys of this level",
                sqlstate="42501",
                detail=f"level {row['level']}.",
                hint="Grant its login role a role with just this level: pymeter web --print-roles.",
            )
        return Session(connection, row["key_id"], row["name"], row["level"], row["subject"])

    async def holder(self, request: Request, key: str) -> Session:
        """Who has a key that was typed into a form.

        Raises psycopg.Error for one that is refused, Problem 401, 403 or 429.
        """
        address = _address(request)
        try:
            credential = key_credential(key)
        except Problem:
            self.attempts.check(address, None)
            self.attempts.failed(address, None)
            raise
        self.attempts.check(address, credential)
        async with self.transaction() as connection:
            return await self._take_role(connection, credential, address, False)

    async def take_role(self, connection: Connection, credential: str) -> None:
        """Take the role of a credential, where another may have been taken: pages ask with several.

        Raises psycopg.Error for one that is refused, Problem 403.
        """
        await connection.execute("SELECT set_config('role', 'none', true)")
        await self._take_role(connection, credential, "", False)

    async def take_role_for(self, connection: Connection, function: str) -> bool:
        """Take a role that may call the function, if the server has one. No answer to a request may show more
        than its own key could read, but for what the caller of this says."""
        row = await (await connection.execute(_ROLE_FOR, [function, self.schema])).fetchone()
        if row is not None:
            await connection.execute("SELECT set_config('role', %s, true)", [row[0]])
        return row is not None

    async def names_of_metrics(self, connection: Connection) -> dict[str, str | None]:
        """The display names of all metrics, by their keys, for a page of somebody who may not call catalog():
        of the names, it shows those of its own metrics. Empty if no role of the server may call it."""
        before = await (await connection.execute("SELECT current_setting('role')")).fetchone()
        assert before is not None
        if not await self.take_role_for(connection, "catalog"):
            return {}
        query = sql.SQL("SELECT key, name FROM {}.catalog()").format(sql.Identifier(self.schema))
        rows = await (await connection.execute(query)).fetchall()
        await connection.execute("SELECT set_config('role', %s, true)", before)
        return dict(rows)

    async def check(self) -> list[str]:
        """Why no request can be served; empty if they can."""
        try:
            async with self.transaction() as connection:
                row = await (
                    await connection.execute(
                        "SELECT has_function_privilege(p.oid, 'execute') FROM pg_proc p JOIN pg_namespace n"
                        " ON n.oid = p.pronamespace WHERE p.proname = 'authenticate' AND n.nspname = %s",
                        [self.schema],
                    )
                ).fetchone()
        except psycopg.Error:
            return ["the database cannot be reached"]
        if row is None:
            return ["the schema holds no meter with keys: run pymeter migrate"]
        return [] if row[0] else ["the login role lacks the level login: see pymeter web --print-roles"]


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


@asynccontextmanager
async def _in_autocommit(connection: Connection) -> AsyncIterator[None]:
    """BEGIN is sent here, with the settings, and not by psycopg; a caller's pool may expect it of psycopg."""
    before = connection.autocommit
    await connection.set_autocommit(True)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_autocommit(before)
