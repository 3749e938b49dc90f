"""The synchronous client. Its methods are generated from :mod:`pymeter.calls`; this module adds the I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import psycopg

from pymeter._binding import ExactCursor
from pymeter._methods import Methods
from pymeter._source import check_lent, check_source
from pymeter._staging import batches, counted_after
from pymeter.calls import Call
from pymeter.errors import meter_errors
from pymeter.models import Event, NewEntry, Quantity, SubjectActivity, SubjectTotal
from pymeter.reserved import ReservedUsage, in_block
from pymeter.tracing import call_span

T = TypeVar("T")


class ConnectionPool(Protocol):
    """The interface of a pool, such as psycopg_pool.ConnectionPool."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Lend a connection; commit when the block ends well, roll back when it raises."""
        ...


class Meter(Methods):
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

    @contextmanager
    def reserved(
        self,
        subject: str,
        metric: str,
        quantity: Quantity,
        *,
        idempotency_key: str | None = None,
        minimum: Quantity | None = None,
        ttl: str | timedelta | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Iterator[ReservedUsage]:
        """Reserve for a block, as `reserve` does with the same arguments.

        Settle inside of it. Leaving it without a settlement releases the reservation, an exception too.

            with meter.reserved("acct_1", "tokens", 4000) as held:
                held.settle(call_the_model(max_tokens=4000).usage.total_tokens)

        Raises:
            QuotaExceeded: it is refused.
            DuplicateEvent: the key was used for another request or an event, or its reservation has ended.
            MeterError: what else `reserve` raises.
        """
        reservation = self.reserve(
            subject,
            metric,
            quantity,
            idempotency_key=idempotency_key,
            minimum=minimum,
            ttl=ttl,
            metadata=metadata,
        )
        with in_block(self, reservation) as held:
            yield held

    def iter_subjects(self, *, page_size: int = 1000) -> Iterator[SubjectActivity]:
        """Yield all subjects, most recently active first, one page of `subjects` at a time.

        A subject that gets newer events before its page has been read is not among them, unless the meter's
        connection is in a REPEATABLE READ transaction.
        """
        page: list[SubjectActivity] = []
        while not page or len(page) == page_size:
            after_subject, after_at = (page[-1].subject, page[-1].last_activity_at) if page else (None, None)
            page = self.subjects(page_size, after_subject=after_subject, after_at=after_at)
            if not page:
                return
            yield from page

    def iter_totals(
        self,
        metric: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
        page_size: int = 1000,
    ) -> Iterator[SubjectTotal]:
        """Yield the usage of one metric by all subjects, by name, one page of `totals` at a time.

        All pages are of one window: `now` is this process's clock at the start, unless given.
        """
        now = now or datetime.now(UTC)
        page: list[SubjectTotal] = []
        while not page or len(page) == page_size:
            page = self.totals(
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
            yield from page

    def iter_events(
        self,
        subject: str,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 1000,
    ) -> Iterator[Event]:
        """Yield all events of a subject, newest first, one page of `events` at a time."""
        page: list[Event] = []
        while not page or len(page) == page_size:
            after_id, after_at = (page[-1].event_id, page[-1].at) if page else (None, None)
            page = self.events(
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
            yield from page

    def iter_all_events(
        self,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 1000,
    ) -> Iterator[Event]:
        """Yield the events of all subjects, the latest recorded first, a page of `all_events` at a time."""
        page: list[Event] = []
        while not page or len(page) == page_size:
            after_id = page[-1].event_id if page else None
            page = self.all_events(
                metric,
                since=since,
                until=until,
                after_id=after_id,
                max_rows=page_size,
            )
            if not page:
                return
            yield from page
