"""What the synchronous clients make of several calls: a reservation as a block, and all pages of a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pymeter._methods import Methods
from pymeter.models import Event, Quantity, SubjectActivity, SubjectTotal
from pymeter.reserved import ReservedUsage, in_block


class ComposedMethods(Methods):
    """Methods that make several calls."""

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
