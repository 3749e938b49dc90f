"""Generated from pymeter/calls: do not edit. To bring it up to date: python -m tests.client.generate"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from pymeter import calls
from pymeter.calls import Call
from pymeter.models import (
    AccessRight,
    Aggregate,
    BatchOutcome,
    Biller,
    ClaimedPush,
    Drift,
    Event,
    Health,
    Level,
    MaintenanceAction,
    Metric,
    MetricMapping,
    NewEvent,
    Period,
    PlannedPush,
    Push,
    PushState,
    PushStatus,
    Quantity,
    QuotaStatus,
    ReconcilableRange,
    Reconciliation,
    Recorded,
    ReportJournal,
    ReportMode,
    ReportStep,
    Rollup,
    SettledHour,
    SettledPush,
    SubjectActivity,
    SubjectMapping,
    UncertainHour,
    UsageBucket,
    UsageGroup,
    UsageTotal,
    Window,
)

T = TypeVar("T")


class _Run(Protocol):
    def __call__(self, call: Call[T], /) -> Awaitable[T]: ...


class _Group:
    """Calls that belong together; they are made by the meter's own `_run`."""

    def __init__(self, run: _Run) -> None:
        self._run = run


class AsyncReporting(_Group):
    """What is reported to whom, and the steps of a reporter."""

    async def define_biller(
        self,
        biller: str = "stripe",
        *,
        subject_is_customer: bool | None = None,
        dedup_window: timedelta | None = None,
        dedup_margin: timedelta | None = None,
        absence: timedelta | None = None,
        max_age: timedelta | None = None,
        max_ahead: timedelta | None = None,
        grace: timedelta | None = None,
        max_digits: int | None = None,
        too_old: Literal["hold", "restamp", "leave"] | None = None,
        negative: Literal["hold", "send", "leave"] | None = None,
        late: Literal["send", "restamp", "hold"] | None = None,
    ) -> Biller:
        """Set by which rules is reported to a biller, and return them; what is None stays as it is.

        Raises InvalidInput for what cannot be.

            meter.define_biller(too_old="restamp", grace=timedelta(hours=72))
        """
        return await self._run(
            calls.define_biller(
                biller,
                subject_is_customer=subject_is_customer,
                dedup_window=dedup_window,
                dedup_margin=dedup_margin,
                absence=absence,
                max_age=max_age,
                max_ahead=max_ahead,
                grace=grace,
                max_digits=max_digits,
                too_old=too_old,
                negative=negative,
                late=late,
            )
        )

    async def report_metric(
        self,
        metric: str,
        event_name: str | None,
        mode: ReportMode | None = None,
        biller: str = "stripe",
        *,
        since: datetime | None = None,
    ) -> MetricMapping:
        """Report a metric to a biller under this name; None ends it. Doing the same again changes nothing.

        `mode` is ``delta`` (what a bucket has gained since the last plan), ``event`` (every event by itself) or
        ``last`` (the period's present value); None keeps it as it is, and is ``delta`` for a new mapping. The
        first time, the usage that is there already is queued, all of it or the buckets that begin at `since` or
        later.

        Raises UnknownMetric, MetricForbids for a mode that would report wrong totals, InvalidInput, NullInput.

            meter.report_metric("tokens", "api_tokens")
        """
        return await self._run(calls.report_metric(metric, event_name, mode, biller, since=since))

    async def report_subject(
        self, subject: str, customer: str | None, biller: str = "stripe"
    ) -> SubjectMapping:
        """Say which of the biller's customers a subject is; None ends it. Again: changes nothing.

        Usage that is there already and was never reported is queued. What has been planned stays with the
        customer that it was planned for. Raises InvalidInput, NullInput.

            meter.report_subject("acct_1", "cus_42")
        """
        return await self._run(calls.report_subject(subject, customer, biller))

    async def report_mappings(self, biller: str = "stripe") -> list[MetricMapping]:
        """Return the metrics that are reported to a biller.

        [mapping.event_name for mapping in meter.report_mappings()]
        """
        return await self._run(calls.report_mappings(biller))

    async def plan_pushes(
        self,
        biller: str = "stripe",
        open_hours: bool = True,
        max_rows: int = 10000,
        *,
        now: datetime | None = None,
    ) -> int:
        """Plan pushes for usage that has not been reported; returns how many queued rows it looked at.

        Call it until it returns 0, each time in a transaction of its own. Without `open_hours` the hour that is
        still open is left for later, unless its period is about to end.

        Raises MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            while meter.plan_pushes(): pass
        """
        return await self._run(calls.plan_pushes(biller, open_hours, max_rows, now=now))

    async def preview_pushes(
        self, biller: str = "stripe", open_hours: bool = True, *, now: datetime | None = None
    ) -> list[PlannedPush]:
        """Return what `plan_pushes` would plan, and plan nothing.

        for push in meter.preview_pushes(): print(push.customer, push.event_name, push.value)
        """
        return await self._run(calls.preview_pushes(biller, open_hours, now=now))

    async def claim_pushes(
        self,
        biller: str,
        worker: str,
        max_pushes: int = 100,
        *,
        lease: timedelta | None = None,
        now: datetime | None = None,
    ) -> list[ClaimedPush]:
        """Claim pushes to be sent now; nobody else gets them, nor others of their customer and event name.

        `worker` names the caller, uniquely. `lease` (two minutes unless given) is for how long: send nothing
        after ``leased_until``. Those of one customer and event name are to be sent one after another.
        Commit before sending: that a push is being sent has to outlast a crash.

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.claim_pushes("stripe", "worker_1")
        """
        return await self._run(calls.claim_pushes(biller, worker, max_pushes, lease=lease, now=now))

    async def confirm_push(
        self,
        biller: str,
        worker: str,
        identifier: str,
        attempt: int,
        *,
        margin: timedelta | None = None,
        now: datetime | None = None,
    ) -> bool:
        """Return whether an attempt is still the worker's, and its lease lasts longer than `margin`.

        Call it right before each send, and send only on True: the clocks of a suspended machine stand still.

            if meter.confirm_push("stripe", "worker_1", push.identifier, push.attempt): ...
        """
        return await self._run(
            calls.confirm_push(biller, worker, identifier, attempt, margin=margin, now=now)
        )

    async def settle_pushes(
        self, biller: str, worker: str, results: Iterable[Mapping[str, Any]], *, now: datetime | None = None
    ) -> list[SettledPush]:
        """Say what became of claimed pushes, and return the state of each.

        A result has ``push_id``, ``attempt``, ``outcome``, and optionally ``identifier`` (then it counts only
        for a push of that identifier), ``error`` and ``retry_after`` (seconds). The outcome is ``delivered``,
        ``rejected`` (refused for good), ``unknown`` (perhaps counted: sent again under the same identifier
        while the biller recognises it) or ``not_applied`` (certainly not counted: sent again later, with a
        `retry_after` of 0 at once).

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.settle_pushes("stripe", "worker_1", [{"push_id": 7, "attempt": 1, "outcome": "delivered"}])
        """
        return await self._run(calls.settle_pushes(biller, worker, results, now=now))

    async def release_pushes(self, biller: str, worker: str, *, now: datetime | None = None) -> int:
        """Give back what a worker has claimed and not settled; returns how many pushes.

        They may have been sent, for all that is known: they are sent again under the same identifier.
        Settle as ``not_applied`` what was certainly not sent.

            meter.release_pushes("stripe", "worker_1")
        """
        return await self._run(calls.release_pushes(biller, worker, now=now))

    async def uncertain_hours(
        self, biller: str = "stripe", max_rows: int = 100, *, now: datetime | None = None
    ) -> list[UncertainHour]:
        """Return hours with uncertain pushes: ask the biller for their totals, and call `settle_hour`.

        for hour in meter.uncertain_hours(): print(hour.customer, hour.hour, hour.uncertain_total)
        """
        return await self._run(calls.uncertain_hours(biller, max_rows, now=now))

    async def settle_hour(
        self,
        biller: str,
        customer: str,
        event_name: str,
        hour: datetime,
        total: Quantity,
        *,
        delivered_total: Quantity | None = None,
        now: datetime | None = None,
        counting_since: datetime | None = None,
    ) -> SettledHour:
        """Resolve the uncertain pushes of an hour by the biller's `total` for it, as far as it tells.

        Give `delivered_total` as `uncertain_hours` returned it: if it has changed since, nothing is decided.
        What is missing from the total is planned anew only when it is still missing a day (a setting) later,
        and never if it was sent before `counting_since`, when the biller began to count under this name.

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.settle_hour("stripe", "cus_42", "api_tokens", hour, Decimal(120)).verdict
        """
        return await self._run(
            calls.settle_hour(
                biller,
                customer,
                event_name,
                hour,
                total,
                delivered_total=delivered_total,
                now=now,
                counting_since=counting_since,
            )
        )

    async def resolve_push(self, identifier: str, delivered: bool, *, now: datetime | None = None) -> Push:
        """Say what a person knows of an uncertain push: that it was delivered, or that it was not.

        One that was not is replaced by another with an identifier of its own. Returns the push as it is now.
        Raises InvalidInput for an unknown identifier, and for a push that is not uncertain.

            meter.resolve_push("pm_0c8e...", delivered=True)
        """
        return await self._run(calls.resolve_push(identifier, delivered, now=now))

    async def retry_pushes(
        self, biller: str = "stripe", identifier: str | None = None, *, now: datetime | None = None
    ) -> list[Push]:
        """Plan pushes anew that were rejected or held, all or one; returns the new ones.

        They have identifiers of their own, and go to the customers and event names of the present mappings.
        It overrides the hold: a held one is sent although it is negative, and what is too old or late is
        stamped with the present. Raises InvalidInput for an unknown identifier, and for one that could not be
        sent as things are.

            meter.retry_pushes()
        """
        return await self._run(calls.retry_pushes(biller, identifier, now=now))

    async def leave_pushes(
        self,
        biller: str = "stripe",
        identifier: str | None = None,
        reason: str | None = None,
        *,
        now: datetime | None = None,
    ) -> list[Push]:
        """Decide that rejected or held pushes are not sent: one, or all with a reason; returns them.

        They become ``left``, which :meth:`report_status` counts. Raises InvalidInput if neither is given, and for
        an unknown identifier.

            meter.leave_pushes(reason="too_old")
        """
        return await self._run(calls.leave_pushes(biller, identifier, reason, now=now))

    async def fail_pushes(
        self,
        biller: str,
        event_id: str,
        identifiers: Sequence[str],
        code: str | None,
        *,
        event_name: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> int:
        """Take in a biller's asynchronous error report, once per `event_id`; returns how many were rejected.

        The pushes named become rejected with the `code`. What else was delivered under `event_name` between
        `since` and `until` is put up for reconciliation.

            meter.fail_pushes("stripe", "evt_1", ["pm_0c8e..."], "meter_event_invalid_value")
        """
        return await self._run(
            calls.fail_pushes(
                biller, event_id, identifiers, code, event_name=event_name, since=since, until=until, now=now
            )
        )

    async def reconcilable_ranges(
        self,
        biller: str = "stripe",
        step: ReportStep = "day",
        max_rows: int = 100,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> list[ReconcilableRange]:
        """Return hours or days (UTC) to compare with the biller's totals, the most pressing first.

        for day in meter.reconcilable_ranges(): print(day.customer, day.range_start, day.local)
        """
        return await self._run(
            calls.reconcilable_ranges(biller, step, max_rows, since=since, until=until, now=now)
        )

    async def reconcile_range(
        self,
        biller: str,
        customer: str,
        event_name: str,
        range_start: datetime,
        step: ReportStep,
        total: Quantity,
        *,
        now: datetime | None = None,
    ) -> Reconciliation:
        """Compare the biller's `total` of an hour or day with what was delivered; keep and return the result.

        meter.reconcile_range("stripe", "cus_42", "api_tokens", midnight, "day", Decimal(120)).difference
        """
        return await self._run(
            calls.reconcile_range(biller, customer, event_name, range_start, step, total, now=now)
        )

    async def reconciliation(self, biller: str = "stripe") -> list[Reconciliation]:
        """Return the comparisons that found a difference, the largest first.

        assert meter.reconciliation() == []
        """
        return await self._run(calls.reconciliation(biller))

    async def report_status(self, biller: str = "stripe") -> list[PushStatus]:
        """Return how much of each metric is in each state, zeros included, and what has no push yet.

        ``unplanned`` is usage that waits to be planned, ``unmapped`` usage without a customer or event name.

            {(row.metric, row.state): row.quantity for row in meter.report_status()}
        """
        return await self._run(calls.report_status(biller))

    async def report_journal(self, biller: str = "stripe") -> ReportJournal:
        """Return where a biller's journal lives, and whether reporting is stopped because it was restored.

        meter.report_journal().stopped
        """
        return await self._run(calls.report_journal(biller))

    async def adopt_journal(
        self, biller: str = "stripe", complete: bool = False, *, now: datetime | None = None
    ) -> ReportJournal:
        """Go on with a journal that was restored, copied or failed over, on this server.

        Stop the other server's reporters first: whoever reports from two journals reports twice. Usage that
        this journal may not know the sending of is looked up in the biller's totals before it is sent. With
        `complete` nothing is doubtful: the journal has lost nothing, as after a planned switchover.

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.adopt_journal()
        """
        return await self._run(calls.adopt_journal(biller, complete, now=now))

    async def pushes(
        self,
        biller: str = "stripe",
        state: PushState | None = None,
        subject: str | None = None,
        *,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[Push]:
        """Return a page of the journal, newest first; for the next, the last row's ``push_id`` as `after_id`.

        for push in meter.pushes(state="rejected"): print(push.identifier, push.error)
        """
        return await self._run(calls.pushes(biller, state, subject, max_rows=max_rows, after_id=after_id))


class AsyncAccess(_Group):
    """Who may do what."""

    async def grant(self, role: str, level: Level, subject: str | None = None) -> None:
        """Let a database role call exactly the functions of a level; it gets no right on any table.

        `level` is ``read``, ``write``, ``report`` or ``admin``; a role may be given several. With `subject` and
        level ``read``, the role reads that subject alone, through ``own_usage`` and its like. Only the owner of
        the meter may do this.

        Raises InvalidInput for an unknown role or level, or a role that would be bound to subjects and unbound.

            meter.grant_access("app", "write")
        """
        return await self._run(calls.grant_access(role, level, subject))

    async def revoke(self, role: str, level: Level | None = None, subject: str | None = None) -> None:
        """Take every right on the meter from a database role, or those of one level, or of one subject.

        Only the owner of the meter may do this. Raises InvalidInput for an unknown role or level.

            meter.revoke_access("app")
        """
        return await self._run(calls.revoke_access(role, level, subject))

    async def __call__(self) -> list[AccessRight]:
        """Return who may do what: a row for each level of each role, and one for whatever else it has.

        [right.role for right in meter.access() if right.level == "write"]
        """
        return await self._run(calls.access())


class AsyncSubjectReads(_Group):
    """The questions about one subject."""

    def __init__(self, run: _Run, subject: str) -> None:
        super().__init__(run)
        self.subject = subject

    async def usage(
        self,
        metric: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> UsageTotal:
        """Return what `usage` does, to a role that was granted read on this subject alone.

        Raises what `usage` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_usage("acct_1", "tokens").quantity
        """
        return await self._run(
            calls.own_usage(
                self.subject, metric, period=period, since=since, until=until, timezone=timezone, now=now
            )
        )

    async def summary(
        self,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageTotal]:
        """Return what `summary` does, to a role that was granted read on this subject alone.

        Raises what `summary` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_summary("acct_1", period="month")
        """
        return await self._run(
            calls.own_summary(
                self.subject, period=period, since=since, until=until, timezone=timezone, now=now
            )
        )

    async def series(
        self, metric: str, since: datetime, until: datetime, *, step: str = "day", timezone: str = "UTC"
    ) -> list[UsageBucket]:
        """Return what `series` does, to a role that was granted read on this subject alone.

        Raises what `series` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
        """
        return await self._run(
            calls.own_series(self.subject, metric, since, until, step=step, timezone=timezone)
        )

    async def usage_by(
        self,
        metric: str,
        dimension: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageGroup]:
        """Return what `usage_by` does, to a role that was granted read on this subject alone.

        Raises what `usage_by` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_usage_by("acct_1", "tokens", "model", period="month")
        """
        return await self._run(
            calls.own_usage_by(
                self.subject,
                metric,
                dimension,
                period=period,
                since=since,
                until=until,
                timezone=timezone,
                now=now,
            )
        )

    async def events(
        self,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int | None = None,
        max_rows: int = 100,
        after_at: datetime | None = None,
    ) -> list[Event]:
        """Return what `events` does, to a role that was granted read on this subject alone.

        Raises what `events` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_events("acct_1", "tokens", max_rows=10)
        """
        return await self._run(
            calls.own_events(
                self.subject,
                metric,
                since=since,
                until=until,
                after_id=after_id,
                max_rows=max_rows,
                after_at=after_at,
            )
        )


class AsyncMethods:
    """A method for each public function of SQL."""

    async def _run(self, call: Call[T]) -> T:
        raise NotImplementedError

    @property
    def reporting(self) -> AsyncReporting:
        """The calls of a reporter, and what is reported to whom."""
        return AsyncReporting(self._run)

    @property
    def access(self) -> AsyncAccess:
        """Who may do what: `access()` lists it, `access.grant` and `access.revoke` change it."""
        return AsyncAccess(self._run)

    def for_subject(self, subject: str) -> AsyncSubjectReads:
        """The questions about one subject, for a role that was granted read on that subject alone."""
        return AsyncSubjectReads(self._run, subject)

    async def define_metric(
        self,
        key: str,
        aggregate: Aggregate,
        unit: str,
        *,
        name: str | None = None,
        description: str | None = None,
        period: Period | None = None,
        rollup: Rollup | None = None,
        striped: bool | None = None,
        max_future: timedelta | None = None,
        carry: bool | None = None,
    ) -> Metric:
        """Define a metric, or change how it is described. Defining the same again changes nothing.

        `aggregate` is one of ``sum count min max avg last unique``; `period` is the billing bucket
        (``minute hour day week month year never``, calendar, UTC); `rollup` the finer bucket kept beside it
        (``hour day none``). `striped` spreads one hot subject over several rows. `max_future` is how far ahead
        of the clock an event may lie. `carry`, for ``last``: a window without events has the last value from
        before it. What is None stays as it is; a new metric begins with month, hour, False, one day and False.
        An empty `name` or `description` removes it.

        Raises InvalidInput for an unknown word, MetricForbids when the aggregate or period of a metric that has
        events would change.

            meter.define_metric("tokens", "sum", "tokens", name="Tokens")
        """
        return await self._run(
            calls.define_metric(
                key,
                aggregate,
                unit,
                name=name,
                description=description,
                period=period,
                rollup=rollup,
                striped=striped,
                max_future=max_future,
                carry=carry,
            )
        )

    async def retire_metric(self, key: str) -> Metric:
        """Retire a metric: its history stays readable, recording is refused (MetricForbids).

        Raises UnknownMetric.

            meter.retire_metric("tokens")
        """
        return await self._run(calls.retire_metric(key))

    async def catalog(self) -> list[Metric]:
        """Return every metric that was ever defined, the retired ones included.

        [metric.key for metric in meter.catalog()]
        """
        return await self._run(calls.catalog())

    async def record(
        self,
        subject: str,
        metric: str,
        quantity: Quantity | None = None,
        *,
        member: str | None = None,
        idempotency_key: str | None = None,
        at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Recorded:
        """Record one event, exactly once per (subject, metric, idempotency_key).

        `quantity` is in the metric's unit; a ``count`` metric counts 1 without it. `member` is what a ``unique``
        metric counts, and replaces the quantity there. `at` is when it happened (now unless given), `metadata`
        any JSON object.

        The result says ``recorded``, ``duplicate`` (same key, same payload) or ``conflict`` (same key, another
        payload; nothing changed), and holds the period's new aggregate. Without a key every call counts.

        Raises UnknownMetric, MetricForbids, InvalidInput, NullInput; SerializationFailure means: run the whole
        transaction again.

            meter.record("acct_1", "tokens", 120, idempotency_key="req_1").quantity   # Decimal('120')
        """
        return await self._run(
            calls.record(
                subject,
                metric,
                quantity,
                member=member,
                idempotency_key=idempotency_key,
                at=at,
                metadata=metadata,
            )
        )

    async def record_batch(
        self, events: Iterable[NewEvent | Mapping[str, Any]], on_invalid: Literal["raise", "skip"] = "raise"
    ) -> list[BatchOutcome]:
        """Record many events in one call; the outcomes come back in input order, counted from 1.

        Each event is a :class:`NewEvent` or a mapping with the names of `record`'s parameters. With ``raise``
        one bad event refuses the whole batch, and the error's detail names its ordinal; with ``skip`` it comes
        back as ``rejected`` with its sqlstate while the others count.

        Raises what `record` raises. A float as a quantity and a datetime without a zone are faults of the
        program, not of an event: they are refused in both modes.

            meter.record_batch([{"subject": "acct_1", "metric": "tokens", "quantity": 120}])
        """
        return await self._run(calls.record_batch(events, on_invalid))

    async def known_events(self, events: Iterable[NewEvent | Mapping[str, Any]]) -> list[BatchOutcome]:
        """Return which of these events were recorded before; for importers. Nothing is recorded.

        An event is known by its `idempotency_key`; or, recorded without one, by the `event_id`, `recorded_at`
        and `at` that `events` returned. A known event has a row: ``duplicate``, or ``conflict`` if its quantity
        or member differs. An event whose month was dropped since has a row ``rejected``: nobody can tell.

        Raises what `record_batch` raises for a float.

            meter.known_events([{"subject": "acct_1", "metric": "tokens", "idempotency_key": "req_1"}])
        """
        return await self._run(calls.known_events(events))

    async def usage(
        self,
        subject: str,
        metric: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> UsageTotal:
        """Return the usage of one metric in one window; zero of zero events when there was none.

        ``has_data`` tells an empty window from one whose value is 0. A metric that is defined with `carry`
        answers with its last value from before the window, with ``has_data`` and zero events.

        The window is `period`, a calendar word (``minute hour day week month year``) or a trailing duration
        (``30 days``, ``90 minutes``, ``1 month``), or [`since`, `until`); without any, the metric's current
        period.

        Raises UnknownMetric, InvalidInput for a window that cannot be (both forms, reversed, unknown word or
        zone).

            meter.usage("acct_1", "tokens", period="30 days").quantity
        """
        return await self._run(
            calls.usage(subject, metric, period=period, since=since, until=until, timezone=timezone, now=now)
        )

    async def summary(
        self,
        subject: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageTotal]:
        """Return an invoice's lines: the usage of every metric, zeros included.

        A retired metric is among them where it has usage in the window.

        The window is given as for `usage`. Raises InvalidInput, NullInput.

            for line in meter.summary("acct_1", period="month"): print(line.metric, line.quantity, line.unit)
        """
        return await self._run(
            calls.summary(subject, period=period, since=since, until=until, timezone=timezone, now=now)
        )

    async def series(
        self,
        subject: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        step: str = "day",
        timezone: str = "UTC",
    ) -> list[UsageBucket]:
        """Return the usage step by step over [`since`, `until`), every bucket included.

        A chart plots it as it is: without events a bucket is 0 for ``sum``, ``count`` and ``unique``, and None
        for the others, unless a ``last`` metric carries its value over.
        `step` is a unit of the calendar in `timezone` (``minute hour day week month year``), or a duration such
        as ``15m``, counted from `since`.

        Raises UnknownMetric, InvalidInput.

            meter.series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
        """
        return await self._run(calls.series(subject, metric, since, until, step=step, timezone=timezone))

    async def usage_by(
        self,
        subject: str,
        metric: str,
        dimension: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageGroup]:
        """Return the usage of one metric in one window, grouped by a field of the events' metadata.

        The window is given as for `usage`. The group ``None`` holds the events that do not have the field.

        Raises UnknownMetric, InvalidInput.

            meter.usage_by("acct_1", "tokens", "model", period="month")
        """
        return await self._run(
            calls.usage_by(
                subject,
                metric,
                dimension,
                period=period,
                since=since,
                until=until,
                timezone=timezone,
                now=now,
            )
        )

    async def check_quota(
        self,
        subject: str,
        metric: str,
        quota: Quantity,
        requested: Quantity | None = None,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> QuotaStatus:
        """Say whether `quota` (in the metric's unit) leaves room, now or for `requested` more.

        Allowed means used < quota, or used + requested <= quota. It is a check, not a reservation: two callers
        may both be told yes. The window is given as for `usage`.

        Raises UnknownMetric, InvalidInput.

            meter.check_quota("acct_1", "tokens", 1_000_000, requested=5_000).allowed
        """
        return await self._run(
            calls.check_quota(
                subject,
                metric,
                quota,
                requested,
                period=period,
                since=since,
                until=until,
                timezone=timezone,
                now=now,
            )
        )

    async def subjects(self, max_rows: int = 100) -> list[SubjectActivity]:
        """Return the subjects that were last active, most recent first.

        [row.subject for row in meter.subjects(10)]
        """
        return await self._run(calls.subjects(max_rows))

    async def events(
        self,
        subject: str,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int | None = None,
        max_rows: int = 100,
        after_at: datetime | None = None,
    ) -> list[Event]:
        """Return a page of the log, newest first: why was this charged?

        For the next page pass the last row's ``event_id`` as `after_id` and its ``at`` as `after_at`;
        `iter_events` does that. Raises UnknownMetric, InvalidInput.

            meter.events("acct_1", "tokens", max_rows=10)
        """
        return await self._run(
            calls.events(
                subject,
                metric,
                since=since,
                until=until,
                after_id=after_id,
                max_rows=max_rows,
                after_at=after_at,
            )
        )

    async def resolve_window(
        self,
        period: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> Window:
        """Return the window that all other calls would use for these arguments.

        Raises InvalidInput.

            meter.resolve_window("month", timezone="Europe/Berlin").since
        """
        return await self._run(
            calls.resolve_window(period, since=since, until=until, timezone=timezone, now=now)
        )

    async def own_usage(
        self,
        subject: str,
        metric: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> UsageTotal:
        """Return what `usage` does, to a role that was granted read on this subject alone.

        Raises what `usage` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_usage("acct_1", "tokens").quantity
        """
        return await self._run(
            calls.own_usage(
                subject, metric, period=period, since=since, until=until, timezone=timezone, now=now
            )
        )

    async def own_summary(
        self,
        subject: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageTotal]:
        """Return what `summary` does, to a role that was granted read on this subject alone.

        Raises what `summary` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_summary("acct_1", period="month")
        """
        return await self._run(
            calls.own_summary(subject, period=period, since=since, until=until, timezone=timezone, now=now)
        )

    async def own_series(
        self,
        subject: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        step: str = "day",
        timezone: str = "UTC",
    ) -> list[UsageBucket]:
        """Return what `series` does, to a role that was granted read on this subject alone.

        Raises what `series` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
        """
        return await self._run(calls.own_series(subject, metric, since, until, step=step, timezone=timezone))

    async def own_usage_by(
        self,
        subject: str,
        metric: str,
        dimension: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageGroup]:
        """Return what `usage_by` does, to a role that was granted read on this subject alone.

        Raises what `usage_by` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_usage_by("acct_1", "tokens", "model", period="month")
        """
        return await self._run(
            calls.own_usage_by(
                subject,
                metric,
                dimension,
                period=period,
                since=since,
                until=until,
                timezone=timezone,
                now=now,
            )
        )

    async def own_events(
        self,
        subject: str,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int | None = None,
        max_rows: int = 100,
        after_at: datetime | None = None,
    ) -> list[Event]:
        """Return what `events` does, to a role that was granted read on this subject alone.

        Raises what `events` raises, psycopg's InsufficientPrivilege for any other subject.

            meter.own_events("acct_1", "tokens", max_rows=10)
        """
        return await self._run(
            calls.own_events(
                subject,
                metric,
                since=since,
                until=until,
                after_id=after_id,
                max_rows=max_rows,
                after_at=after_at,
            )
        )

    async def rebuild(self, subject: str | None = None, metric: str | None = None) -> int:
        """Recompute rollups from the log while others record; returns how many rollup rows were written.

        Everything, or one subject, or one metric, or one subject's metric. Raises UnknownMetric.

            meter.rebuild("acct_1")
        """
        return await self._run(calls.rebuild(subject, metric))

    async def verify(self, subject: str | None = None, metric: str | None = None) -> list[Drift]:
        """Recompute from the log and return only what differs: an empty list means no drift.

        Raises UnknownMetric.

            assert meter.verify() == []
        """
        return await self._run(calls.verify(subject, metric))

    async def maintain(
        self, keep: str | timedelta | None = None, *, detach: bool = False
    ) -> list[MaintenanceAction]:
        """Create partitions ahead, move strays out of the default one, and so on. Idempotent: for cron.

        Given `keep`, drop the events of all months (UTC) that ended so long ago, once they are verified: a
        timedelta, or an interval as PostgreSQL writes it, with its unit (``"13 months"``). Rollups, members and
        idempotency keys stay. `detach` makes tables of their own instead, to be archived. An action that begins
        with ``kept`` names a month that should have gone but for the reason that it gives.

        Raises InvalidInput for a `keep` that is negative, shorter than a day or no interval. Wants a READ
        COMMITTED transaction of its own.

            meter.maintain(keep="13 months")
        """
        return await self._run(calls.maintain(keep, detach=detach))

    async def health(self, now: datetime | None = None) -> Health:
        """Return the state of the meter in one row, for a monitor to poll.

        `now` looks from another time than the database's clock.

            assert meter.health().healthy
        """
        return await self._run(calls.health(now))

    async def grant_access(self, role: str, level: Level, subject: str | None = None) -> None:
        """Let a database role call exactly the functions of a level; it gets no right on any table.

        `level` is ``read``, ``write``, ``report`` or ``admin``; a role may be given several. With `subject` and
        level ``read``, the role reads that subject alone, through ``own_usage`` and its like. Only the owner of
        the meter may do this.

        Raises InvalidInput for an unknown role or level, or a role that would be bound to subjects and unbound.

            meter.grant_access("app", "write")
        """
        return await self._run(calls.grant_access(role, level, subject))

    async def revoke_access(self, role: str, level: Level | None = None, subject: str | None = None) -> None:
        """Take every right on the meter from a database role, or those of one level, or of one subject.

        Only the owner of the meter may do this. Raises InvalidInput for an unknown role or level.

            meter.revoke_access("app")
        """
        return await self._run(calls.revoke_access(role, level, subject))

    async def define_biller(
        self,
        biller: str = "stripe",
        *,
        subject_is_customer: bool | None = None,
        dedup_window: timedelta | None = None,
        dedup_margin: timedelta | None = None,
        absence: timedelta | None = None,
        max_age: timedelta | None = None,
        max_ahead: timedelta | None = None,
        grace: timedelta | None = None,
        max_digits: int | None = None,
        too_old: Literal["hold", "restamp", "leave"] | None = None,
        negative: Literal["hold", "send", "leave"] | None = None,
        late: Literal["send", "restamp", "hold"] | None = None,
    ) -> Biller:
        """Set by which rules is reported to a biller, and return them; what is None stays as it is.

        Raises InvalidInput for what cannot be.

            meter.define_biller(too_old="restamp", grace=timedelta(hours=72))
        """
        return await self._run(
            calls.define_biller(
                biller,
                subject_is_customer=subject_is_customer,
                dedup_window=dedup_window,
                dedup_margin=dedup_margin,
                absence=absence,
                max_age=max_age,
                max_ahead=max_ahead,
                grace=grace,
                max_digits=max_digits,
                too_old=too_old,
                negative=negative,
                late=late,
            )
        )

    async def report_metric(
        self,
        metric: str,
        event_name: str | None,
        mode: ReportMode | None = None,
        biller: str = "stripe",
        *,
        since: datetime | None = None,
    ) -> MetricMapping:
        """Report a metric to a biller under this name; None ends it. Doing the same again changes nothing.

        `mode` is ``delta`` (what a bucket has gained since the last plan), ``event`` (every event by itself) or
        ``last`` (the period's present value); None keeps it as it is, and is ``delta`` for a new mapping. The
        first time, the usage that is there already is queued, all of it or the buckets that begin at `since` or
        later.

        Raises UnknownMetric, MetricForbids for a mode that would report wrong totals, InvalidInput, NullInput.

            meter.report_metric("tokens", "api_tokens")
        """
        return await self._run(calls.report_metric(metric, event_name, mode, biller, since=since))

    async def report_subject(
        self, subject: str, customer: str | None, biller: str = "stripe"
    ) -> SubjectMapping:
        """Say which of the biller's customers a subject is; None ends it. Again: changes nothing.

        Usage that is there already and was never reported is queued. What has been planned stays with the
        customer that it was planned for. Raises InvalidInput, NullInput.

            meter.report_subject("acct_1", "cus_42")
        """
        return await self._run(calls.report_subject(subject, customer, biller))

    async def report_mappings(self, biller: str = "stripe") -> list[MetricMapping]:
        """Return the metrics that are reported to a biller.

        [mapping.event_name for mapping in meter.report_mappings()]
        """
        return await self._run(calls.report_mappings(biller))

    async def plan_pushes(
        self,
        biller: str = "stripe",
        open_hours: bool = True,
        max_rows: int = 10000,
        *,
        now: datetime | None = None,
    ) -> int:
        """Plan pushes for usage that has not been reported; returns how many queued rows it looked at.

        Call it until it returns 0, each time in a transaction of its own. Without `open_hours` the hour that is
        still open is left for later, unless its period is about to end.

        Raises MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            while meter.plan_pushes(): pass
        """
        return await self._run(calls.plan_pushes(biller, open_hours, max_rows, now=now))

    async def preview_pushes(
        self, biller: str = "stripe", open_hours: bool = True, *, now: datetime | None = None
    ) -> list[PlannedPush]:
        """Return what `plan_pushes` would plan, and plan nothing.

        for push in meter.preview_pushes(): print(push.customer, push.event_name, push.value)
        """
        return await self._run(calls.preview_pushes(biller, open_hours, now=now))

    async def claim_pushes(
        self,
        biller: str,
        worker: str,
        max_pushes: int = 100,
        *,
        lease: timedelta | None = None,
        now: datetime | None = None,
    ) -> list[ClaimedPush]:
        """Claim pushes to be sent now; nobody else gets them, nor others of their customer and event name.

        `worker` names the caller, uniquely. `lease` (two minutes unless given) is for how long: send nothing
        after ``leased_until``. Those of one customer and event name are to be sent one after another.
        Commit before sending: that a push is being sent has to outlast a crash.

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.claim_pushes("stripe", "worker_1")
        """
        return await self._run(calls.claim_pushes(biller, worker, max_pushes, lease=lease, now=now))

    async def confirm_push(
        self,
        biller: str,
        worker: str,
        identifier: str,
        attempt: int,
        *,
        margin: timedelta | None = None,
        now: datetime | None = None,
    ) -> bool:
        """Return whether an attempt is still the worker's, and its lease lasts longer than `margin`.

        Call it right before each send, and send only on True: the clocks of a suspended machine stand still.

            if meter.confirm_push("stripe", "worker_1", push.identifier, push.attempt): ...
        """
        return await self._run(
            calls.confirm_push(biller, worker, identifier, attempt, margin=margin, now=now)
        )

    async def settle_pushes(
        self, biller: str, worker: str, results: Iterable[Mapping[str, Any]], *, now: datetime | None = None
    ) -> list[SettledPush]:
        """Say what became of claimed pushes, and return the state of each.

        A result has ``push_id``, ``attempt``, ``outcome``, and optionally ``identifier`` (then it counts only
        for a push of that identifier), ``error`` and ``retry_after`` (seconds). The outcome is ``delivered``,
        ``rejected`` (refused for good), ``unknown`` (perhaps counted: sent again under the same identifier
        while the biller recognises it) or ``not_applied`` (certainly not counted: sent again later, with a
        `retry_after` of 0 at once).

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.settle_pushes("stripe", "worker_1", [{"push_id": 7, "attempt": 1, "outcome": "delivered"}])
        """
        return await self._run(calls.settle_pushes(biller, worker, results, now=now))

    async def release_pushes(self, biller: str, worker: str, *, now: datetime | None = None) -> int:
        """Give back what a worker has claimed and not settled; returns how many pushes.

        They may have been sent, for all that is known: they are sent again under the same identifier.
        Settle as ``not_applied`` what was certainly not sent.

            meter.release_pushes("stripe", "worker_1")
        """
        return await self._run(calls.release_pushes(biller, worker, now=now))

    async def uncertain_hours(
        self, biller: str = "stripe", max_rows: int = 100, *, now: datetime | None = None
    ) -> list[UncertainHour]:
        """Return hours with uncertain pushes: ask the biller for their totals, and call `settle_hour`.

        for hour in meter.uncertain_hours(): print(hour.customer, hour.hour, hour.uncertain_total)
        """
        return await self._run(calls.uncertain_hours(biller, max_rows, now=now))

    async def settle_hour(
        self,
        biller: str,
        customer: str,
        event_name: str,
        hour: datetime,
        total: Quantity,
        *,
        delivered_total: Quantity | None = None,
        now: datetime | None = None,
        counting_since: datetime | None = None,
    ) -> SettledHour:
        """Resolve the uncertain pushes of an hour by the biller's `total` for it, as far as it tells.

        Give `delivered_total` as `uncertain_hours` returned it: if it has changed since, nothing is decided.
        What is missing from the total is planned anew only when it is still missing a day (a setting) later,
        and never if it was sent before `counting_since`, when the biller began to count under this name.

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.settle_hour("stripe", "cus_42", "api_tokens", hour, Decimal(120)).verdict
        """
        return await self._run(
            calls.settle_hour(
                biller,
                customer,
                event_name,
                hour,
                total,
                delivered_total=delivered_total,
                now=now,
                counting_since=counting_since,
            )
        )

    async def resolve_push(self, identifier: str, delivered: bool, *, now: datetime | None = None) -> Push:
        """Say what a person knows of an uncertain push: that it was delivered, or that it was not.

        One that was not is replaced by another with an identifier of its own. Returns the push as it is now.
        Raises InvalidInput for an unknown identifier, and for a push that is not uncertain.

            meter.resolve_push("pm_0c8e...", delivered=True)
        """
        return await self._run(calls.resolve_push(identifier, delivered, now=now))

    async def retry_pushes(
        self, biller: str = "stripe", identifier: str | None = None, *, now: datetime | None = None
    ) -> list[Push]:
        """Plan pushes anew that were rejected or held, all or one; returns the new ones.

        They have identifiers of their own, and go to the customers and event names of the present mappings.
        It overrides the hold: a held one is sent although it is negative, and what is too old or late is
        stamped with the present. Raises InvalidInput for an unknown identifier, and for one that could not be
        sent as things are.

            meter.retry_pushes()
        """
        return await self._run(calls.retry_pushes(biller, identifier, now=now))

    async def leave_pushes(
        self,
        biller: str = "stripe",
        identifier: str | None = None,
        reason: str | None = None,
        *,
        now: datetime | None = None,
    ) -> list[Push]:
        """Decide that rejected or held pushes are not sent: one, or all with a reason; returns them.

        They become ``left``, which :meth:`report_status` counts. Raises InvalidInput if neither is given, and for
        an unknown identifier.

            meter.leave_pushes(reason="too_old")
        """
        return await self._run(calls.leave_pushes(biller, identifier, reason, now=now))

    async def fail_pushes(
        self,
        biller: str,
        event_id: str,
        identifiers: Sequence[str],
        code: str | None,
        *,
        event_name: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> int:
        """Take in a biller's asynchronous error report, once per `event_id`; returns how many were rejected.

        The pushes named become rejected with the `code`. What else was delivered under `event_name` between
        `since` and `until` is put up for reconciliation.

            meter.fail_pushes("stripe", "evt_1", ["pm_0c8e..."], "meter_event_invalid_value")
        """
        return await self._run(
            calls.fail_pushes(
                biller, event_id, identifiers, code, event_name=event_name, since=since, until=until, now=now
            )
        )

    async def reconcilable_ranges(
        self,
        biller: str = "stripe",
        step: ReportStep = "day",
        max_rows: int = 100,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> list[ReconcilableRange]:
        """Return hours or days (UTC) to compare with the biller's totals, the most pressing first.

        for day in meter.reconcilable_ranges(): print(day.customer, day.range_start, day.local)
        """
        return await self._run(
            calls.reconcilable_ranges(biller, step, max_rows, since=since, until=until, now=now)
        )

    async def reconcile_range(
        self,
        biller: str,
        customer: str,
        event_name: str,
        range_start: datetime,
        step: ReportStep,
        total: Quantity,
        *,
        now: datetime | None = None,
    ) -> Reconciliation:
        """Compare the biller's `total` of an hour or day with what was delivered; keep and return the result.

        meter.reconcile_range("stripe", "cus_42", "api_tokens", midnight, "day", Decimal(120)).difference
        """
        return await self._run(
            calls.reconcile_range(biller, customer, event_name, range_start, step, total, now=now)
        )

    async def reconciliation(self, biller: str = "stripe") -> list[Reconciliation]:
        """Return the comparisons that found a difference, the largest first.

        assert meter.reconciliation() == []
        """
        return await self._run(calls.reconciliation(biller))

    async def report_status(self, biller: str = "stripe") -> list[PushStatus]:
        """Return how much of each metric is in each state, zeros included, and what has no push yet.

        ``unplanned`` is usage that waits to be planned, ``unmapped`` usage without a customer or event name.

            {(row.metric, row.state): row.quantity for row in meter.report_status()}
        """
        return await self._run(calls.report_status(biller))

    async def report_journal(self, biller: str = "stripe") -> ReportJournal:
        """Return where a biller's journal lives, and whether reporting is stopped because it was restored.

        meter.report_journal().stopped
        """
        return await self._run(calls.report_journal(biller))

    async def adopt_journal(
        self, biller: str = "stripe", complete: bool = False, *, now: datetime | None = None
    ) -> ReportJournal:
        """Go on with a journal that was restored, copied or failed over, on this server.

        Stop the other server's reporters first: whoever reports from two journals reports twice. Usage that
        this journal may not know the sending of is looked up in the biller's totals before it is sent. With
        `complete` nothing is doubtful: the journal has lost nothing, as after a planned switchover.

        Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

            meter.adopt_journal()
        """
        return await self._run(calls.adopt_journal(biller, complete, now=now))

    async def pushes(
        self,
        biller: str = "stripe",
        state: PushState | None = None,
        subject: str | None = None,
        *,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[Push]:
        """Return a page of the journal, newest first; for the next, the last row's ``push_id`` as `after_id`.

        for push in meter.pushes(state="rejected"): print(push.identifier, push.error)
        """
        return await self._run(calls.pushes(biller, state, subject, max_rows=max_rows, after_id=after_id))
