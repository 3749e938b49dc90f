"""The synchronous client. Every method is defined in :mod:`pymeter.calls`; here is only the I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import psycopg

from pymeter import calls
from pymeter._binding import ExactCursor, describe
from pymeter.calls import Call
from pymeter.errors import meter_errors
from pymeter.models import Event
from pymeter.tracing import call_span

P = ParamSpec("P")
T = TypeVar("T")


class ConnectionPool(Protocol):
    """What a pool must offer; psycopg_pool.ConnectionPool does."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Lend a connection; commit when the block ends well, roll back when it raises."""
        ...


def _method(call: Callable[P, Call[T]]) -> Callable[Concatenate[Meter, P], T]:
    def method(self: Meter, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(call(*args, **kwargs))

    return describe(method, call)


class Meter:
    """The meter in one schema of one database.

    Given a psycopg connection it never commits or rolls back: what it records is part of the caller's
    transaction. Given a pool, every call is a transaction of its own. Creating a Meter does no I/O.

    With `prepare` at False, the default, no prepared statement outlives a call, so a pgbouncer that pools
    transactions may sit in between. True saves planning time on a direct connection.

        with psycopg.connect(dsn) as connection:
            Meter(connection).record("acct_1", "tokens", 120, idempotency_key="req_1")
    """

    def __init__(
        self,
        connection_or_pool: psycopg.Connection[Any] | ConnectionPool,
        *,
        schema: str = "meter",
        prepare: bool = False,
    ) -> None:
        if not isinstance(connection_or_pool, psycopg.Connection) and (
            isinstance(connection_or_pool, psycopg.AsyncConnection)
            or not callable(getattr(connection_or_pool, "connection", None))
        ):
            raise TypeError(
                "Meter takes a psycopg.Connection or a psycopg_pool.ConnectionPool"
                f", not {type(connection_or_pool).__name__}"
            )
        self._source = connection_or_pool
        self.schema = schema
        self.prepare = prepare

    def __repr__(self) -> str:
        return f"{type(self).__name__}(schema={self.schema!r})"

    def _run(self, call: Call[T]) -> T:
        params = call.params
        with call_span(call.function, self.schema, params), meter_errors():
            if isinstance(self._source, psycopg.Connection):
                return self._execute(self._source, call, params)
            with self._source.connection() as connection:
                return self._execute(connection, call, params)

    def _execute(self, connection: psycopg.Connection[Any], call: Call[T], params: dict[str, Any]) -> T:
        cursor = ExactCursor(connection)
        cursor.execute(call.statement(self.schema), params, prepare=self.prepare, binary=True)
        return call.result(cursor.fetchall())

    define_metric = _method(calls.define_metric)
    """Define a metric, or change how it is described. Defining the same again changes nothing."""

    retire_metric = _method(calls.retire_metric)
    """Retire a metric: its history stays readable, recording is refused (MetricForbids)."""

    catalog = _method(calls.catalog)
    """Return every metric that was ever defined, the retired ones included."""

    record = _method(calls.record)
    """Record one event, exactly once per (subject, metric, idempotency_key)."""

    record_batch = _method(calls.record_batch)
    """Record many events in one call; the outcomes come back in input order, counted from 1."""

    known_events = _method(calls.known_events)
    """Return which of these events were recorded before; for importers. Nothing is recorded."""

    usage = _method(calls.usage)
    """Return the usage of one metric in one window; zero of zero events when there was none."""

    summary = _method(calls.summary)
    """Return an invoice's lines: the usage of every metric that is not retired, zeros included."""

    series = _method(calls.series)
    """Return the usage step by step over [`since`, `until`), gaps filled with zeros."""

    usage_by = _method(calls.usage_by)
    """Return the usage of one metric in one window, grouped by a field of the events' metadata."""

    check_quota = _method(calls.check_quota)
    """Say whether `quota` (in the metric's unit) leaves room, now or for `requested` more."""

    subjects = _method(calls.subjects)
    """Return the subjects that were last active, most recent first."""

    events = _method(calls.events)
    """Return a page of the log, newest first: why was this charged?"""

    resolve_window = _method(calls.resolve_window)
    """Return the window that all other calls would use for these arguments."""

    rebuild = _method(calls.rebuild)
    """Recompute rollups from the log while others record; returns how many rollup rows were written."""

    verify = _method(calls.verify)
    """Recompute from the log and return only what differs: an empty list means no drift."""

    maintain = _method(calls.maintain)
    """Create partitions ahead, move strays out of the default one, and so on. Idempotent: for cron."""

    health = _method(calls.health)
    """Return the state of the meter in one row, for a monitor to poll."""

    own_usage = _method(calls.own_usage)
    """Return what `usage` does, to a role that was granted read on this subject alone."""

    own_summary = _method(calls.own_summary)
    """Return what `summary` does, to a role that was granted read on this subject alone."""

    own_series = _method(calls.own_series)
    """Return what `series` does, to a role that was granted read on this subject alone."""

    own_usage_by = _method(calls.own_usage_by)
    """Return what `usage_by` does, to a role that was granted read on this subject alone."""

    own_events = _method(calls.own_events)
    """Return what `events` does, to a role that was granted read on this subject alone."""

    grant_access = _method(calls.grant_access)
    """Let a database role call exactly the functions of a level; it gets no right on any table."""

    revoke_access = _method(calls.revoke_access)
    """Take every right on the meter from a database role, or those of one level, or of one subject."""

    access = _method(calls.access)
    """Return who may do what: a row for each level of each role, and one for whatever else it has."""
    define_biller = _method(calls.define_biller)
    """Set by which rules is reported to a biller, and return them; what is None stays as it is."""

    report_metric = _method(calls.report_metric)
    """Report a metric to a biller under this name; None ends it. Doing the same again changes nothing."""

    report_subject = _method(calls.report_subject)
    """Say which of the biller's customers a subject is; None ends it. Again: changes nothing."""

    report_mappings = _method(calls.report_mappings)
    """Return the metrics that are reported to a biller."""

    plan_pushes = _method(calls.plan_pushes)
    """Plan pushes for usage that has not been reported; returns how many queued rows it looked at."""

    preview_pushes = _method(calls.preview_pushes)
    """Return what `plan_pushes` would plan, and plan nothing."""

    claim_pushes = _method(calls.claim_pushes)
    """Claim pushes to be sent now; nobody else gets them, nor others of their customer and event name."""

    settle_pushes = _method(calls.settle_pushes)
    """Say what became of claimed pushes, and return the state of each."""

    release_pushes = _method(calls.release_pushes)
    """Give back what a worker has claimed and not settled; returns how many pushes."""

    uncertain_hours = _method(calls.uncertain_hours)
    """Return hours with uncertain pushes: ask the biller for their totals, and call `settle_hour`."""

    settle_hour = _method(calls.settle_hour)
    """Resolve the uncertain pushes of an hour by the biller's `total` for it, as far as it tells."""

    resolve_push = _method(calls.resolve_push)
    """Say what a person knows of an uncertain push: that it was delivered, or that it was not."""

    retry_pushes = _method(calls.retry_pushes)
    """Plan pushes anew that were rejected or held, all or one; returns the new ones."""

    fail_pushes = _method(calls.fail_pushes)
    """Take in a biller's asynchronous error report, once per `event_id`; returns how many were rejected."""

    reconcilable_ranges = _method(calls.reconcilable_ranges)
    """Return hours or days (UTC) to compare with the biller's totals, the most pressing first."""

    reconcile_range = _method(calls.reconcile_range)
    """Compare the biller's `total` of an hour or day with what was delivered; keep and return the result."""

    reconciliation = _method(calls.reconciliation)
    """Return the comparisons that found a difference, the largest first."""

    report_status = _method(calls.report_status)
    """Return how many pushes are in each state, zeros included, and what has no push yet."""

    pushes = _method(calls.pushes)
    """Return a page of the journal, newest first; for the next, the last row's ``push_id`` as `after_id`."""

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
