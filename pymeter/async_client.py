"""The asynchronous client. Its methods are generated from :mod:`pymeter.calls`; this module adds the I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import psycopg

from pymeter._async_methods import AsyncMethods
from pymeter._binding import AsyncExactCursor
from pymeter._source import check_lent, check_source
from pymeter._staging import batches, counted_after
from pymeter.calls import Call
from pymeter.errors import meter_errors
from pymeter.models import Event, NewEntry, Quantity, SubjectActivity, SubjectTotal
from pymeter.reserved import AsyncReservedUsage, in_async_block
from pymeter.tracing import call_span

T = TypeVar("T")


class AsyncConnectionPool(Protocol):
    """The interface of a pool, such as psycopg_pool.AsyncConnectionPool."""

    def connection(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        """Lend a connection; commit when the block ends well, roll back when it raises."""
        ...


class AsyncMeter(AsyncMethods):
    """The meter in one schema of one database.

    Given a psycopg connection it never commits or rolls back: what it records is part of the caller's
    transaction. Given a pool, every call is a transaction of its own. Creating an AsyncMeter does no I/O.

    With `prepare` at None, the default, psycopg decides: it prepares what a connection has executed five
    times, unless the connection has prepare_threshold=None. True prepares at once, False never. A pgbouncer
    that pools transactions and knows no prepared statements needs prepare_threshold=None or False.

        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await AsyncMeter(connection).record("acct_1", "tokens", 120, idempotency_key="req_1")
    """

    def __init__(
        self,
        connection_or_pool: psycopg.AsyncConnection[Any] | AsyncConnectionPool,
        *,
        schema: str = "meter",
        prepare: bool | None = None,
    ) -> None:
        check_source(connection_or_pool, "AsyncMeter", asynchronous=True)
        self._source = connection_or_pool
        self.schema = schema
        self.prepare = prepare

    def __repr__(self) -> str:
        return f"{type(self).__name__}(schema={self.schema!r})"

    async def _run(self, call: Call[T]) -> T:
        params = call.params
        with call_span(call.function, self.schema, params), meter_errors(call.function):
            if isinstance(self._source, psycopg.AsyncConnection):
                return await self._execute(self._source, call, params)
            async with self._source.connection() as connection:
                check_lent(connection, "AsyncMeter", asynchronous=True)
                return await self._execute(connection, call, params)

    async def _execute(
        self, connection: psycopg.AsyncConnection[Any], call: Call[T], params: dict[str, Any]
    ) -> T:
        cursor = AsyncExactCursor(connection)
        await cursor.execute(call.statement(self.schema), params, prepare=self.prepare, binary=True)
        return call.result(await cursor.fetchall())

    async def stage_correction(self, id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> int:
        if not isinstance(self._source, psycopg.AsyncConnection):
            with meter_errors("stage_correction"):
                async with self._source.connection() as connection:
                    check_lent(connection, "AsyncMeter", asynchronous=True)
                    held = AsyncMeter(connection, schema=self.schema, prepare=self.prepare)
                    return await held.stage_correction(id, entries)
        staged = 0
        for before, batch in batches(entries):
            with counted_after(before):
                staged = await super().stage_correction(id, batch)
        return staged

    @asynccontextmanager
    async def reserved(
        self,
        subject: str,
        metric: str,
        quantity: Quantity,
        *,
        idempotency_key: str | None = None,
        minimum: Quantity | None = None,
        ttl: str | timedelta | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncReservedUsage]:
        """Reserve for a block, as `reserve` does with the same arguments.

        Settle inside of it. Leaving it without a settlement releases the reservation, an exception too.

            async with meter.reserved("acct_1", "tokens", 4000) as held:
                await held.settle(call_the_model(max_tokens=4000).usage.total_tokens)

        Raises:
            QuotaExceeded: it is refused.
            DuplicateEvent: the key was used for another request or an event, or its reservation has ended.
            MeterError: what else `reserve` raises.
        """
        reservation = await self.reserve(
            subject,
            metric,
            quantity,
            idempotency_key=idempotency_key,
            minimum=minimum,
            ttl=ttl,
            metadata=metadata,
        )
        async with in_async_block(self, reservation) as held:
            yield held

    async def iter_subjects(self, *, page_size: int = 1000) -> AsyncIterator[SubjectActivity]:
        """Yield all subjects, most recently active first, one page of `subjects` at a time.

        A subject that gets newer events before its page has been read is not among them, unless the meter's
        connection is in a REPEATABLE READ transaction.
        """
        page: list[SubjectActivity] = []
        while not page or len(page) == page_size:
            after_subject, after_at = (page[-1].subject, page[-1].last_activity_at) if page else (None, None)
            page = await self.subjects(page_size, after_subject=after_subject, after_at=after_at)
            if not page:
                return
            for row in page:
                yield row

    async def iter_totals(
        self,
        metric: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[SubjectTotal]:
        """Yield the usage of one metric by all subjects, by name, one page of `totals` at a time.

        All pages are of one window: `now` is this process's clock at the start, unless given.
        """
        now = now or datetime.now(UTC)
        page: list[SubjectTotal] = []
        while not page or len(page) == page_size:
            page = await self.totals(
                metric,
                period=period,
                since=since,
                until=until,
                timezone=timezone,
                now=now,
                max_rows=page_size,
                after_subject=page[-1].subject if page else None,
            )
            if not page:
                return
            for row in page:
                yield row

    async def iter_events(
        self,
        subject: str,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[Event]:
        """Yield all events of a subject, newest first, one page of `events` at a time."""
        page: list[Event] = []
        while not page or len(page) == page_size:
            after_id, after_at = (page[-1].event_id, page[-1].at) if page else (None, None)
            page = await self.events(
                subject,
                metric,
                since=since,
                until=until,
                after_id=after_id,
                after_at=after_at,
                max_rows=page_size,
            )
            if not page:
                return
            for event in page:
                yield event

    async def iter_all_events(
        self,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[Event]:
        """Yield the events of all subjects, the latest recorded first, a page of `all_events` at a time."""
        page: list[Event] = []
        while not page or len(page) == page_size:
            after_id = page[-1].event_id if page else None
            page = await self.all_events(
                metric,
                since=since,
                until=until,
                after_id=after_id,
                max_rows=page_size,
            )
            if not page:
                return
            for event in page:
                yield event
