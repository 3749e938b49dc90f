"""Dependencies for FastAPI: ``transaction``, one per request, and ``meter``, which records in it.

What these functions return stands in ``Annotated``; it is the ``Depends(...)`` itself, with its scope.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import psycopg
from fastapi import Depends
from fastapi.params import Depends as Dependency

from pymeter._source import check_source, is_asynchronous
from pymeter.async_client import AsyncConnectionPool, AsyncMeter
from pymeter.client import ConnectionPool, Meter
from pymeter.contrib._failed import check_commit
from pymeter.contrib._in_threads import Threads

__all__ = ["meter", "transaction"]

# Of a pool that does not say how many connections it has; Starlette's number.
_THREADS = 40


def transaction(pool: ConnectionPool | AsyncConnectionPool) -> Any:
    """Return a dependency: a connection of the pool, in one transaction for the request.

    It commits before the response is sent; an endpoint that raises, HTTPException too, rolls back. A failed
    transaction is not committed but raises InFailedSqlTransaction, even if the endpoint caught the error. Use
    the same object for `meter` and for your own queries: then FastAPI gives both the same connection.

        in_transaction = transaction(pool)
        Connection = Annotated[psycopg.AsyncConnection, in_transaction]
        UsageMeter = Annotated[AsyncMeter, meter(in_transaction)]

    Raises:
        TypeError: no pool of psycopg connections.
    """
    asynchronous = is_asynchronous(getattr(pool, "connection", None)) is True
    if isinstance(pool, psycopg.Connection | psycopg.AsyncConnection):
        raise TypeError("transaction takes a pool: requests that run at once cannot share a connection.")
    check_source(pool, "transaction", asynchronous=asynchronous)

    threads = Threads(getattr(pool, "max_size", None) or _THREADS)

    @contextmanager
    def lend() -> Iterator[psycopg.Connection[Any]]:
        with pool.connection() as lent, lent.transaction():  # type: ignore[union-attr]
            yield lent
            check_commit(lent)

    async def connection() -> AsyncIterator[psycopg.Connection[Any]]:
        async with threads.block(lend) as lent:
            yield lent

    async def async_connection() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with pool.connection() as lent, lent.transaction():  # type: ignore[union-attr]
            yield lent
            check_commit(lent)

    # With the default scope it would commit when the response has been sent, and a failure be seen by nobody.
    return Depends(async_connection if asynchronous else connection, scope="function")


def meter(source: Any, *, schema: str = "meter", prepare: bool | None = None) -> Any:
    """Return a dependency: a meter in the transaction of another dependency.

    `source` is what `transaction` returned, or the dependency that gives your endpoints their SQLAlchemy
    session: the function, or its `Depends(...)` if that has a scope. Give the same one here and there:
    FastAPI calls a dependency once per request and scope. The meter is a Meter or an AsyncMeter, as the
    connection or session is. It ends with them: a call after that, such as one of a background task or of a
    streamed body, raises RuntimeError and records nothing.

        UsageMeter = Annotated[AsyncMeter, meter(Depends(get_session, scope="function"))]

    Raises:
        TypeError: the source is no dependency; or, in a request, it gave neither a connection nor a session.
    """
    given = source if isinstance(source, Dependency) else _depends(source)

    async def usage_meter(joined: Any = given) -> AsyncIterator[Any]:
        lent = _meter(joined, schema, prepare)
        try:
            yield lent
        finally:
            # Another request gets the connection, and its rollback would undo what is recorded later.
            lent._source = _Ended()

    # With another scope than its source's it would end earlier or later.
    return Depends(usage_meter, scope=given.scope)


class _Ended:
    """Lends nothing any more."""

    def connection(self) -> NoReturn:
        raise RuntimeError(
            "this meter ended with its request, and nothing was recorded. In a background task or a streamed"
            " body make another one: Meter(pool) or AsyncMeter(pool), or one on a session of its own."
        )


def _depends(source: Callable[..., Any]) -> Any:
    if not callable(source) or isinstance(source, type):
        raise TypeError(
            "meter takes a dependency: transaction(pool), Depends(get_session) or the function get_session."
        )
    return Depends(source)


def _meter(joined: Any, schema: str, prepare: bool | None) -> Meter | AsyncMeter:
    if isinstance(joined, psycopg.Connection):
        return Meter(joined, schema=schema, prepare=prepare)
    if isinstance(joined, psycopg.AsyncConnection):
        return AsyncMeter(joined, schema=schema, prepare=prepare)
    # An application that has no session of SQLAlchemy's does not need the package.
    from pymeter.contrib import sqlalchemy

    if isinstance(joined, sqlalchemy.ASYNC):
        return sqlalchemy.async_meter(joined, schema=schema, prepare=prepare)
    return sqlalchemy.meter(joined, schema=schema, prepare=prepare)
