"""A meter in the transaction of a SQLAlchemy session or connection: ``meter`` and ``async_meter``.

The driver's connection is looked up at every call, not once: a session has another one after a commit, and
only SQLAlchemy knows whether it has begun a transaction or a savepoint on it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pymeter.async_client import AsyncMeter
from pymeter.client import Meter
from pymeter.contrib._failed import check_commit, has_failed

__all__ = ["async_meter", "meter"]

SYNC = (Session, scoped_session, Connection)
ASYNC: Any = ()
_ASYNC_ENGINE: Any = ()
try:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session
except ImportError:
    # SQLAlchemy 2.1 without greenlet: there can be no asynchronous sessions.
    pass
else:
    ASYNC = (AsyncSession, async_scoped_session, AsyncConnection)
    _ASYNC_ENGINE = (AsyncEngine,)


def meter(
    session_or_connection: Session | scoped_session[Any] | Connection,
    *,
    schema: str = "meter",
    prepare: bool | None = None,
    bind_arguments: Mapping[str, Any] | None = None,
) -> Meter:
    """Return a meter whose calls are part of the transaction of a session or a connection.

    A call begins the transaction if none has begun, as `execute` does; the commit is yours. Creating the
    meter does no I/O, and one meter may be used as long as its session. `bind_arguments` are those of
    `Session.execute`: they choose among several binds, such as {"mapper": Order} or {"bind": engine}.

        with Session(engine) as session, session.begin():
            session.add(Order(account="acct_1"))
            meter(session).record("acct_1", "tokens", 120, idempotency_key="order_1")

    Raises:
        TypeError: no session or connection of SQLAlchemy; or, by a call, one whose driver is not psycopg 3.
    """
    if not isinstance(session_or_connection, SYNC):
        raise TypeError(f"meter takes a Session or a Connection{_instead(session_or_connection)}")
    source = _Source(session_or_connection, bind_arguments)
    return Meter(source, schema=schema, prepare=prepare)


def async_meter(
    session_or_connection: AsyncSession | async_scoped_session[Any] | AsyncConnection,
    *,
    schema: str = "meter",
    prepare: bool | None = None,
    bind_arguments: Mapping[str, Any] | None = None,
) -> AsyncMeter:
    """Return a meter as `meter` does, for a session or a connection of sqlalchemy.ext.asyncio.

    async with AsyncSession(engine) as session, session.begin():
        await async_meter(session).record("acct_1", "tokens", 120, idempotency_key="order_1")
    """
    if not isinstance(session_or_connection, ASYNC):
        raise TypeError(
            f"async_meter takes an AsyncSession or an AsyncConnection{_instead(session_or_connection)}"
        )
    source = _AsyncSource(session_or_connection, bind_arguments)
    return AsyncMeter(source, schema=schema, prepare=prepare)


class _Source:
    """Lends the driver's connection of a session, as a pool would; it neither commits nor rolls back."""

    def __init__(self, target: Any, bind_arguments: Mapping[str, Any] | None) -> None:
        self._target = target
        self._bind_arguments = bind_arguments

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        joined = _joined(self._target, self._bind_arguments)
        driver: psycopg.Connection[Any] = _driver(joined, psycopg.Connection)
        try:
            yield driver
        except BaseException as error:
            _note_failure(joined, driver, error)
            raise


class _AsyncSource:
    """The same for an asynchronous session. SQLAlchemy's own code has to run in its greenlet."""

    def __init__(self, target: Any, bind_arguments: Mapping[str, Any] | None) -> None:
        self._target = target
        self._bind_arguments = bind_arguments

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        scoped = isinstance(self._target, async_scoped_session)
        target = self._target() if scoped else self._target
        joined, driver = await target.run_sync(self._lend)
        try:
            yield driver
        except BaseException as error:
            # A cancelled task is one of them: its call may have been interrupted by the server.
            await target.run_sync(lambda _, given=error: _note_failure(joined, driver, given))
            raise

    def _lend(self, target: Session | Connection) -> tuple[Connection, Any]:
        joined = _joined(target, self._bind_arguments)
        return joined, _driver(joined, psycopg.AsyncConnection)


def _joined(target: Any, bind_arguments: Mapping[str, Any] | None) -> Connection:
    """The connection in whose transaction, and savepoint, a session or a connection is."""
    if isinstance(target, Connection):
        # Without this, the driver would begin a transaction that Connection.commit() does not know of.
        if not target.in_transaction():
            target.begin()
        return target
    connection: Connection = target.connection(bind_arguments=dict(bind_arguments or {}))
    return connection


def _driver(joined: Connection, kind: Any) -> Any:
    """The connection of psycopg below all proxies."""
    driver = joined.connection.driver_connection
    if isinstance(driver, kind):
        return driver
    if isinstance(driver, psycopg.Connection | psycopg.AsyncConnection):
        raise TypeError("the engine of this session is asynchronous. Write async_meter(async_session).")
    dialect = joined.dialect
    raise TypeError(
        f"pymeter works on psycopg 3 alone; this engine uses {dialect.name}+{dialect.driver}."
        " Create it with a URL that begins with postgresql+psycopg://"
    )


def _note_failure(joined: Connection, driver: Any, error: BaseException) -> None:
    if driver.closed:
        # As SQLAlchemy does for its own statements; otherwise rollback() would fail on a lost connection.
        joined.invalidate(error)
    elif has_failed(driver) and not event.contains(joined, "commit", _check_commit):
        event.listen(joined, "commit", _check_commit)


def _check_commit(joined: Connection) -> None:
    try:
        check_commit(_driver(joined, psycopg.Connection | psycopg.AsyncConnection))
    except psycopg.Error:
        # What the COMMIT would have done; SQLAlchemy takes the transaction to be over.
        joined.connection.rollback()
        raise


def _instead(given: Any) -> str:
    """The end of an error: what was given, and what to write instead."""
    lines: list[tuple[type | tuple[type, ...], str]] = [
        (SYNC, "Write meter(...) for this one."),
        (ASYNC, "Write async_meter(...) for this one."),
        (Engine, "Write with engine.begin() as connection: meter(connection)."),
        (_ASYNC_ENGINE, "Write async with engine.begin() as connection: async_meter(connection)."),
        (sessionmaker, "Write with Session.begin() as session: meter(session)."),
        (psycopg.Connection, "Write pymeter.Meter(connection)."),
        (psycopg.AsyncConnection, "Write pymeter.AsyncMeter(connection)."),
    ]
    line = next((line for kind, line in lines if isinstance(given, kind)), "See pymeter/contrib/README.md.")
    kind = given if isinstance(given, type) else type(given)
    return f" of SQLAlchemy, not {kind.__module__}.{kind.__qualname__}. {line}"
