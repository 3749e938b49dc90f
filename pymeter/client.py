"""The synchronous client. Its methods are generated from :mod:`pymeter.calls`; this module adds the I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import psycopg

from pymeter._binding import ExactCursor
from pymeter._composed import ComposedMethods
from pymeter._source import check_lent, check_source
from pymeter._staging import batches, counted_after
from pymeter.calls import Call
from pymeter.errors import meter_errors
from pymeter.models import NewEntry
from pymeter.tracing import call_span

T = TypeVar("T")


class ConnectionPool(Protocol):
    """The interface of a pool, such as psycopg_pool.ConnectionPool."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Lend a connection; commit when the block ends well, roll back when it raises."""
        ...


class Meter(ComposedMethods):
    """The meter in one schema of one database.

    Given a psycopg connection it never commits or rolls back: what it records is part of the caller's
    transaction. Given a pool, every call is a transaction of its own. Creating a Meter does no I/O.

    With `prepare` at None, the default, psycopg decides: it prepares what a connection has executed five
    times, unless the connection has prepare_threshold=None. True prepares at once, False never. A pgbouncer
    that pools transactions and knows no prepared statements needs prepare_threshold=None or False.

        with psycopg.connect(dsn) as connection:
            Meter(connection).record("acct_1", "tokens", 120, idempotency_key="req_1")
    """

    def __init__(
        self,
        connection_or_pool: psycopg.Connection[Any] | ConnectionPool,
        *,
        schema: str = "meter",
        prepare: bool | None = None,
    ) -> None:
        check_source(connection_or_pool, "Meter", asynchronous=False)
        self._source = connection_or_pool
        self.schema = schema
        self.prepare = prepare

    def __repr__(self) -> str:
        return f"{type(self).__name__}(schema={self.schema!r})"

    def _run(self, call: Call[T]) -> T:
        params = call.params
        with call_span(call.function, self.schema, params), meter_errors(call.function):
            if isinstance(self._source, psycopg.Connection):
                return self._execute(self._source, call, params)
            with self._source.connection() as connection:
                check_lent(connection, "Meter", asynchronous=False)
                return self._execute(connection, call, params)

    def _execute(self, connection: psycopg.Connection[Any], call: Call[T], params: dict[str, Any]) -> T:
        cursor = ExactCursor(connection)
        cursor.execute(call.statement(self.schema), params, prepare=self.prepare, binary=True)
        return call.result(cursor.fetchall())

    def stage_correction(self, id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> int:
        if not isinstance(self._source, psycopg.Connection):
            with meter_errors("stage_correction"), self._source.connection() as connection:
                check_lent(connection, "Meter", asynchronous=False)
                held = Meter(connection, schema=self.schema, prepare=self.prepare)
                return held.stage_correction(id, entries)
        staged = 0
        for before, batch in batches(entries):
            with counted_after(before):
                staged = super().stage_correction(id, batch)
        return staged
