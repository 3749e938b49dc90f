"""Generated from pymeter/calls: do not edit. To bring it up to date: python -m tests.client.generate"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar, overload
from uuid import UUID

from pymeter import calls
from pymeter.calls import Call
from pymeter.models import (
    AccessRight,
    ActiveTopUp,
    AdminEntry,
    AfterClose,
    Aggregate,
    ApiKey,
    Archive,
    ArchiveRow,
    Authentication,
    Balance,
    BatchOutcome,
    Biller,
    BillingCycle,
    BillTiming,
    Budget,
    BudgetPeriod,
    BudgetRound,
    BudgetStatus,
    CalendarStep,
    ClaimedDelivery,
    ClaimedPush,
    Closing,
    Corrected,
    Correction,
    CorrectionEffect,
    CorrectionEntry,
    CorrectionState,
    Credit,
    CreditSource,
    CycleLength,
    Delivery,
    DeliveryState,
    Dimensions,
    Drift,
    EffectiveLimit,
    Endpoint,
    EndpointFormat,
    EndpointStatus,
    Event,
    FocusCharge,
    GivenPrice,
    Health,
    Invoice,
    InvoiceLine,
    InvoiceProjection,
    KeyLevel,
    LateDecision,
    LateSettlement,
    LateUsage,
    Level,
    Limit,
    LimitAction,
    MaintenanceAction,
    Metric,
    MetricMapping,
    Move,
    NewApiKey,
    NewEntry,
    NewEvent,
    Notification,
    OperationalMetric,
    Overrun,
    Period,
    Plan,
    PlanComparison,
    PlanMinimum,
    PlannedPush,
    PlanPrice,
    Push,
    PushState,
    PushStatus,
    Quantity,
    QuotaStatus,
    RatedLine,
    ReconcilableRange,
    Reconciliation,
    Recorded,
    RecordedWithoutTotal,
    ReportJournal,
    ReportMode,
    ReportStep,
    Reservation,
    ReservationState,
    Reserved,
    ReservedInBatch,
    Rollup,
    Setting,
    SettledDelivery,
    SettledHour,
    SettledPush,
    ShardState,
    Simulation,
    SpikeAlert,
    StatementHeader,
    StatementLine,
    StatementProblem,
    SubjectActivity,
    SubjectMapping,
    SubjectPeriod,
    SubjectTotal,
    Subscription,
    Tax,
    TiersAfterChange,
    TopUp,
    TopUpSource,
    UncertainHour,
    UsageBucket,
    UsageGroup,
    UsageProjection,
    UsageTotal,
    Window,
)

T = TypeVar("T")


class _Run(Protocol):
    def __call__(self, call: Call[T], /) -> T: ...


class _Group:
    """Calls that belong together; they are made by the meter's own `_run`."""

    def __init__(self, run: _Run) -> None:
        self._run = run


class Reporting(_Group):
    """What is reported to whom, and the steps of a reporter."""

    def define_biller(
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
        sends: Literal["usage", "statements"] | None = None,
        statements_since: datetime | None = None,
    ) -> Biller:
        """Create or update a biller's reporting policy. What is None stays as it is.

        Args:
            biller: The biller's name.
            subject_is_customer: Whether a subject that is not mapped is its own customer.
            dedup_window: How long the biller recognises an identifier.
            dedup_margin: How long before its end a push is not sent again.
            absence: How long a push has to be missing from the biller's totals before it is sent under
                a new identifier.
            max_age: How old usage the biller takes.
            max_ahead: How far in the future.
            grace: How long after a period's end its invoice takes usage.
            max_digits: How many significant digits a value may have.
            too_old: What happens to usage older than `max_age`: ``hold``, ``restamp`` with the present
                time, ``leave``.
            negative: What happens to values below zero: ``hold``, ``send``, ``leave``.
            late: What happens after `grace`: ``send``, ``restamp``, ``hold``.
            sends: ``usage``, or ``statements``: each line of a statement that is closed from now on
                becomes an invoice item.
            statements_since: Statements of periods that begin earlier are not sent; those of later ones
                are, also if they have been closed already.

        Returns:
            The policy as it is now.

        Raises:
            InvalidInput: a setting is not allowed.
            MetricForbids: what it sends would change while it is in use.

        Example:
            meter.define_biller(too_old="restamp", grace=timedelta(hours=72))
        """
        return self._run(
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
                sends=sends,
                statements_since=statements_since,
            )
        )

    def report_metric(
        self,
        metric: str,
        event_name: str | None,
        mode: ReportMode | None = None,
        biller: str = "stripe",
        *,
        since: datetime | None = None,
    ) -> MetricMapping:
        """Report a metric to a biller under this name; None ends it. Repeating it changes nothing.

        Usage that is there already is queued.

        Args:
            metric: The metric's key.
            event_name: The biller's name of the meter.
            mode: ``delta`` (what a bucket has gained since the last plan), ``event`` (every event by
                itself) or ``last`` (the period's present value). None keeps it as it is; ``delta`` for
                a new mapping.
            biller: The biller's name.
            since: Only buckets that begin at this time or later; all unless given.

        Returns:
            The mapping as it is now.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the mode would report wrong totals.
            InvalidInput: a value is not allowed.

        Example:
            meter.report_metric("tokens", "api_tokens")
        """
        return self._run(calls.report_metric(metric, event_name, mode, biller, since=since))

    def report_subject(self, subject: str, customer: str | None, biller: str = "stripe") -> SubjectMapping:
        """Map a subject to a biller's customer; None ends it. Repeating it changes nothing.

        Usage that was never reported is queued. What has been planned stays with the customer that it
        was planned for.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            customer: The biller's customer.
            biller: The biller's name.

        Returns:
            The mapping as it is now.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.report_subject("acct_1", "cus_42")
        """
        return self._run(calls.report_subject(subject, customer, biller))

    def billers(self) -> list[Biller]:
        """Return the billers, each with its reporting policy.

        Returns:
            A row for each biller, by name.

        Example:
            [biller.sends for biller in meter.billers()]
        """
        return self._run(calls.billers())

    def report_mappings(self, biller: str = "stripe") -> list[MetricMapping]:
        """Return the metrics that are reported to a biller.

        Args:
            biller: The biller's name.

        Returns:
            A row for each metric.

        Example:
            [mapping.event_name for mapping in meter.report_mappings()]
        """
        return self._run(calls.report_mappings(biller))

    def customer_subjects(self, customer: str, biller: str = "stripe") -> list[SubjectMapping]:
        """Return the subjects whose usage is reported as that of one customer of a biller.

        Args:
            customer: The biller's customer.
            biller: The biller's name.

        Returns:
            A row for each subject, by subject.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [mapping.subject for mapping in meter.customer_subjects("cus_42")]
        """
        return self._run(calls.customer_subjects(customer, biller))

    def plan_pushes(
        self,
        biller: str = "stripe",
        open_hours: bool = True,
        max_rows: int = 10000,
        *,
        now: datetime | None = None,
    ) -> int:
        """Plan pushes for usage that has not been reported.

        Call it until it returns 0, each time in a transaction of its own.

        Args:
            biller: The biller's name.
            open_hours: Whether to plan the hour that is still open, too.
            max_rows: How many rows of the queue to look at.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            How many rows of the queue it looked at.

        Raises:
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            while meter.plan_pushes():
                pass
        """
        return self._run(calls.plan_pushes(biller, open_hours, max_rows, now=now))

    def preview_pushes(
        self, biller: str = "stripe", open_hours: bool = True, *, now: datetime | None = None
    ) -> list[PlannedPush]:
        """Return what `plan_pushes` would plan, and plan nothing.

        Args:
            biller: The biller's name.
            open_hours: Whether to plan the hour that is still open, too.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The pushes.

        Example:
            for push in meter.preview_pushes():
                print(push.customer, push.event_name, push.value)
        """
        return self._run(calls.preview_pushes(biller, open_hours, now=now))

    def claim_pushes(
        self,
        biller: str,
        worker: str,
        max_pushes: int = 100,
        *,
        lease: timedelta | None = None,
        now: datetime | None = None,
    ) -> list[ClaimedPush]:
        """Claim pushes to send now.

        No other worker gets them, nor others of their customer and event name. Send those of one
        customer and event name one after another. Commit before sending: that a push is being sent has
        to survive a crash.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            max_pushes: How many at most.
            lease: For how long; two minutes unless given. Send nothing after ``leased_until``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The claimed pushes, the most urgent first.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.claim_pushes("stripe", "worker_1")
        """
        return self._run(calls.claim_pushes(biller, worker, max_pushes, lease=lease, now=now))

    def confirm_push(
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

        Call it right before each send, and send only on True: the clocks of a suspended machine stand
        still.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            identifier: The push's identifier.
            attempt: The attempt, as `claim_pushes` returned it.
            margin: How much longer the lease has to last: the longest time that one call to the biller
                takes.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Whether to send.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            if meter.confirm_push("stripe", "worker_1", push.identifier, push.attempt):
                send(push)
        """
        return self._run(calls.confirm_push(biller, worker, identifier, attempt, margin=margin, now=now))

    def settle_pushes(
        self, biller: str, worker: str, results: Iterable[Mapping[str, Any]], *, now: datetime | None = None
    ) -> list[SettledPush]:
        """Settle claimed pushes: say what the biller answered.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            results: For each push its ``push_id``, ``attempt`` and ``outcome``, optionally
                ``identifier`` (then it counts only for a push of that identifier), ``error`` and
                ``retry_after`` (seconds). Outcomes: ``delivered``; ``rejected`` (refused for good);
                ``unknown`` (perhaps counted: sent again under the same identifier while the biller
                recognises it); ``not_applied`` (certainly not counted: sent again later).
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The state of each push.

        Raises:
            InvalidInput: a result is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.settle_pushes("stripe", "worker_1", [{"push_id": 7, "attempt": 1, "outcome": "delivered"}])
        """
        return self._run(calls.settle_pushes(biller, worker, results, now=now))

    def release_pushes(self, biller: str, worker: str, *, now: datetime | None = None) -> int:
        """Release what a worker has claimed and not settled.

        They may have been sent, so they are sent again under the same identifier. Settle as
        ``not_applied`` what was certainly not sent.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            How many pushes.

        Example:
            meter.release_pushes("stripe", "worker_1")
        """
        return self._run(calls.release_pushes(biller, worker, now=now))

    def uncertain_hours(
        self, biller: str = "stripe", max_rows: int = 100, *, now: datetime | None = None
    ) -> list[UncertainHour]:
        """Return hours with uncertain pushes: ask the biller for their totals, and call `settle_hour`.

        Args:
            biller: The biller's name.
            max_rows: The length of a page, at most 10,000.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The hours, the most urgent first.

        Example:
            for hour in meter.uncertain_hours():
                print(hour.customer, hour.hour, hour.uncertain_total)
        """
        return self._run(calls.uncertain_hours(biller, max_rows, now=now))

    def settle_hour(
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
        identifiers: Sequence[str] | None = None,
    ) -> SettledHour:
        """Resolve the uncertain pushes of an hour by the biller's total for it.

        What is missing from the total is planned anew only when it is still missing after the policy's
        ``absence``.

        Args:
            biller: The biller's name.
            customer: The biller's customer.
            event_name: The biller's name of the meter.
            hour: The hour, as `uncertain_hours` returned it.
            total: The biller's total of that hour.
            delivered_total: As `uncertain_hours` returned it: if it has changed since, nothing is
                decided.
            now: The moment to ask about; the database's clock unless given.
            counting_since: When the biller began to count under this name: what was sent earlier is in
                no total.
            identifiers: Those that the biller has, if it lists them: they decide instead of the total.

        Returns:
            The verdict.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.settle_hour("stripe", "cus_42", "api_tokens", hour, Decimal(120)).verdict
        """
        return self._run(
            calls.settle_hour(
                biller,
                customer,
                event_name,
                hour,
                total,
                delivered_total=delivered_total,
                now=now,
                counting_since=counting_since,
                identifiers=identifiers,
            )
        )

    def resolve_push(self, identifier: str, delivered: bool, *, now: datetime | None = None) -> Push:
        """Manually resolve an uncertain push.

        Args:
            identifier: The push's identifier.
            delivered: True: the biller has it. False: it has not, and another push replaces it.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The push as it is now.

        Raises:
            InvalidInput: the identifier is unknown, or the push is not uncertain.

        Example:
            meter.resolve_push("pm_0c8e...", delivered=True)
        """
        return self._run(calls.resolve_push(identifier, delivered, now=now))

    def retry_pushes(
        self, biller: str = "stripe", identifier: str | None = None, *, now: datetime | None = None
    ) -> list[Push]:
        """Plan rejected or held pushes anew, all or one.

        The new ones have identifiers of their own, and go to the customers and event names of the
        present mappings. It overrides the hold: a negative value is sent, what is too old or late gets
        the present time.

        Args:
            biller: The biller's name.
            identifier: One push; all unless given.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The new pushes.

        Raises:
            InvalidInput: the identifier is unknown.

        Example:
            meter.retry_pushes()
        """
        return self._run(calls.retry_pushes(biller, identifier, now=now))

    def leave_pushes(
        self,
        biller: str = "stripe",
        identifier: str | None = None,
        reason: str | None = None,
        *,
        now: datetime | None = None,
    ) -> list[Push]:
        """Decide that rejected or held pushes are not sent: one, or all with a reason.

        They become ``left``, which `report_status` counts.

        Args:
            biller: The biller's name.
            identifier: One push.
            reason: All pushes that are held or rejected for this reason.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The pushes as they are now.

        Raises:
            InvalidInput: neither `identifier` nor `reason` is given, or the identifier is unknown.

        Example:
            meter.leave_pushes(reason="too_old")
        """
        return self._run(calls.leave_pushes(biller, identifier, reason, now=now))

    def fail_pushes(
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
        """Apply a biller's asynchronous error report, once per `event_id`.

        Args:
            biller: The biller's name.
            event_id: The biller's id of the report.
            identifiers: The pushes that it names: they become rejected.
            code: The biller's error code.
            event_name: What else was delivered under this name between `since` and `until` is to be
                reconciled first.
            since: The start of the time that the report is about.
            until: Its end.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            How many pushes were rejected.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.fail_pushes("stripe", "evt_1", ["pm_0c8e..."], "meter_event_invalid_value")
        """
        return self._run(
            calls.fail_pushes(
                biller, event_id, identifiers, code, event_name=event_name, since=since, until=until, now=now
            )
        )

    def reconcilable_ranges(
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

        Args:
            biller: The biller's name.
            step: ``hour`` or ``day``.
            max_rows: The length of a page, at most 10,000.
            since: The earliest range.
            until: The latest range.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The ranges, with what was delivered in each.

        Example:
            for day in meter.reconcilable_ranges():
                print(day.customer, day.range_start, day.local)
        """
        return self._run(calls.reconcilable_ranges(biller, step, max_rows, since=since, until=until, now=now))

    def reconcile_range(
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
        """Compare the biller's total of an hour or day with what was delivered, and keep the result.

        Args:
            biller: The biller's name.
            customer: The biller's customer.
            event_name: The biller's name of the meter.
            range_start: The range's first instant.
            step: ``hour`` or ``day``.
            total: The biller's total.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The comparison.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.reconcile_range("stripe", "cus_42", "api_tokens", midnight, "day", Decimal(120)).difference
        """
        return self._run(
            calls.reconcile_range(biller, customer, event_name, range_start, step, total, now=now)
        )

    def reconciliation(self, biller: str = "stripe") -> list[Reconciliation]:
        """Return the comparisons that found a difference, the largest first.

        Args:
            biller: The biller's name.

        Returns:
            The comparisons.

        Example:
            assert meter.reconciliation() == []
        """
        return self._run(calls.reconciliation(biller))

    def report_status(self, biller: str = "stripe") -> list[PushStatus]:
        """Return how much usage is in each state of reporting, zeros included.

        Args:
            biller: The biller's name.

        Returns:
            A row for each metric and state. ``unplanned`` waits to be planned; ``unmapped`` has no
            customer.

        Example:
            {(row.metric, row.state): row.pushes for row in meter.report_status()}
        """
        return self._run(calls.report_status(biller))

    def report_journal(self, biller: str = "stripe") -> ReportJournal:
        """Return where a biller's journal lives, and whether reporting is stopped because it was restored.

        Args:
            biller: The biller's name.

        Returns:
            The journal's server and state.

        Example:
            meter.report_journal().stopped
        """
        return self._run(calls.report_journal(biller))

    def adopt_journal(
        self,
        biller: str = "stripe",
        complete: bool = False,
        *,
        force: bool = False,
        now: datetime | None = None,
    ) -> ReportJournal:
        """Go on with a journal that was restored, copied or failed over, on this server.

        Stop the other server's reporters first: reporting from two journals reports twice. Usage that
        this journal may not know the sending of is looked up in the biller's totals before it is sent.

        Args:
            biller: The biller's name.
            complete: True: the journal has lost nothing, as after a planned switchover.
            force: True: adopt it although it is not stopped, such as in a snapshot of a whole machine.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Where the journal lives now.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (55000) the journal is not stopped, and `force` is false; (25001) in a REPEATABLE READ
                or SERIALIZABLE transaction.

        Example:
            meter.adopt_journal()
        """
        return self._run(calls.adopt_journal(biller, complete, force=force, now=now))

    def pushes(
        self,
        biller: str = "stripe",
        state: PushState | None = None,
        subject: str | None = None,
        *,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[Push]:
        """Return a page of the journal, newest first.

        Args:
            biller: The biller's name.
            state: Pushes in this state; all unless given.
            subject: One subject's pushes; all unless given.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``push_id``, for the next page.

        Returns:
            A page of pushes.

        Example:
            for push in meter.pushes(state="rejected"):
                print(push.identifier, push.error)
        """
        return self._run(calls.pushes(biller, state, subject, max_rows=max_rows, after_id=after_id))


class Access(_Group):
    """Who may do what."""

    def grant(self, role: str, level: Level, subject: str | None = None) -> None:
        """Let a database role call exactly the functions of a level; it gets no right on any table.

        Only the owner of the meter may do this.

        Args:
            role: The role's name.
            level: ``read``, ``write``, ``report``, ``admin`` or ``approve``; a role may have several. Or
                ``login`` or ``own``, for the roles of a server of the HTTP API.
            subject: With level ``read``: the role reads this subject alone, through `for_subject`.

        Raises:
            InvalidInput: the role or level is unknown, or the role would be both bound to subjects and
                not.

        Example:
            meter.grant_access("app", "write")
        """
        return self._run(calls.grant_access(role, level, subject))

    def revoke(self, role: str, level: Level | None = None, subject: str | None = None) -> None:
        """Take rights on the meter from a database role.

        Only the owner of the meter may do this.

        Args:
            role: The role's name.
            level: One level's rights; every right unless given.
            subject: One subject's.

        Raises:
            InvalidInput: the role or level is unknown.

        Example:
            meter.revoke_access("app")
        """
        return self._run(calls.revoke_access(role, level, subject))

    def __call__(self) -> list[AccessRight]:
        """Return who may do what.

        Returns:
            A row for each level of each role, and one for whatever else it has.

        Example:
            [right.role for right in meter.access() if right.level == "write"]
        """
        return self._run(calls.access())


class SubjectReads(_Group):
    """The questions about one subject."""

    def __init__(self, run: _Run, subject: str) -> None:
        super().__init__(run)
        self.subject = subject

    def usage(
        self,
        metric: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> UsageTotal:
        """Return what `usage` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The quantity; zero of zero events when there was none.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_usage("acct_1", "tokens", period="30 days").quantity
        """
        return self._run(
            calls.own_usage(
                self.subject, metric, period=period, since=since, until=until, timezone=timezone, now=now
            )
        )

    def summary(
        self,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageTotal]:
        """Return what `summary` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            A line for each metric that is in use, zeros included, and for each retired one that has
            usage in the window.

        Raises:
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            for line in meter.own_summary("acct_1", period="month"):
                print(line.metric, line.quantity, line.unit)
        """
        return self._run(
            calls.own_summary(
                self.subject, period=period, since=since, until=until, timezone=timezone, now=now
            )
        )

    def series(
        self,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        step: CalendarStep | str = "day",
        timezone: str = "UTC",
    ) -> list[UsageBucket]:
        """Return what `series` does, for a role that was granted read on this subject alone.

        Without events a bucket is 0 for ``sum``, ``count`` and ``unique``, and None for the others,
        unless a ``last`` metric carries its value over.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            since: The first step's start.
            until: The end, not included.
            step: A calendar word (``minute hour day week month year``); ``cycle``, the subject's billing
                cycles; or a duration such as ``15m``, counted from `since`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.

        Returns:
            A row for each step, in order.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the range or the step is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
        """
        return self._run(calls.own_series(self.subject, metric, since, until, step=step, timezone=timezone))

    def usage_by(
        self,
        metric: str,
        dimension: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageGroup]:
        """Return what `usage_by` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            dimension: The field's name.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            A row for each value; ``None`` holds the events without the field.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            EventsDropped: events of the window were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_usage_by("acct_1", "tokens", "model", period="month")
        """
        return self._run(
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

    def events(
        self,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int | None = None,
        max_rows: int = 100,
        after_at: datetime | None = None,
    ) -> list[Event]:
        """Return what `events` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: One metric's events; all unless given.
            since: The earliest time, included.
            until: The latest time, not included.
            after_id: The last row's ``event_id``, for the next page; `iter_events` does that.
            max_rows: The length of a page, at most 10,000.
            after_at: The last row's ``at``: optional, saves a look-up.

        Returns:
            A page of events.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_events("acct_1", "tokens", max_rows=10)
        """
        return self._run(
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

    def limits(self, metric: str, *, at: datetime | None = None) -> list[EffectiveLimit]:
        """Return the limits that count, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            at: When; now unless given.

        Returns:
            A row for each limit, without those that are shadowed.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_limits("acct_1", "tokens")
        """
        return self._run(calls.own_limits(self.subject, metric, at=at))

    def check_quota(
        self, metric: str, requested: Quantity | None = None, *, now: datetime | None = None
    ) -> QuotaStatus:
        """Check whether the limits have room, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            requested: How much more is wanted.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Whether it is allowed, and the limit that binds.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_check_quota("acct_1", "tokens", 5_000).allowed
        """
        return self._run(calls.own_check_quota(self.subject, metric, requested, now=now))

    def balance(self, metric: str, *, at: datetime | None = None) -> Balance:
        """Return the balance of a subject, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            at: When; now unless given.

        Returns:
            What `balance` returns.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the metric is no ``sum`` or ``count``.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_balance("acct_1", "tokens").remaining
        """
        return self._run(calls.own_balance(self.subject, metric, at=at))

    def budget_status(self, *, now: datetime | None = None) -> list[BudgetStatus]:
        """Return the budgets of a subject, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            now: The moment whose periods are meant; now unless given.

        Returns:
            What `budget_status` returns.

        Raises:
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [(budget.spent, budget.amount) for budget in meter.own_budget_status("acct_1")]
        """
        return self._run(calls.own_budget_status(self.subject, now=now))

    def credits(self, *, at: datetime | None = None) -> list[Credit]:
        """Return the credits of a subject, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            at: When; now unless given.

        Returns:
            What `credits` returns.

        Raises:
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [(credit.remaining, credit.currency) for credit in meter.own_credits("acct_1")]
        """
        return self._run(calls.own_credits(self.subject, at=at))

    def invoice(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        period: SubjectPeriod | str | None = None,
        now: datetime | None = None,
    ) -> list[InvoiceLine]:
        """Return what `invoice` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            since: The window's start, included.
            until: The window's end, not included.
            period: ``cycle`` or a calendar word, the one that contains `now`; instead of a range. The
                running cycle if neither is given.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The lines, a total for each currency at the end.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: events that an amount depends on were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_invoice("acct_1", period="cycle")
        """
        return self._run(calls.own_invoice(self.subject, since=since, until=until, period=period, now=now))

    def project_usage(
        self, metric: str | None = None, *, now: datetime | None = None
    ) -> list[UsageProjection]:
        """Return what `project_usage` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key; every metric in use unless given.
            now: The moment to ask about; only usage before it counts. The database's clock unless given.

        Returns:
            A row for each metric: low, expected and high, and by which method. They are None, with a
            reason, where nothing can be said, such as with less than 7 days of history.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            EventsDropped: events at an edge of the window were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_project_usage("acct_1", "tokens")[0].expected
        """
        return self._run(calls.own_project_usage(self.subject, metric, now=now))

    def project_invoice(self, *, now: datetime | None = None) -> list[InvoiceProjection]:
        """Return what `project_invoice` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            now: The moment to ask about; only usage before it counts. The database's clock unless given.

        Returns:
            The lines, a total for each currency at the end: the amounts so far, and at low, expected and
            high usage. They are None where the usage of a metric cannot be projected.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: events that an amount depends on were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [line.expected for line in meter.own_project_invoice("acct_1") if line.kind == "total"]
        """
        return self._run(calls.own_project_invoice(self.subject, now=now))

    def statements(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[StatementHeader]:
        """Return what `statements` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            since: Only periods that end after this.
            until: Only periods that begin before this.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``statement_id``, for the next page.

        Returns:
            A page of headers, the one that was closed last first.

        Raises:
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [header.totals for header in meter.own_statements("acct_1")]
        """
        return self._run(
            calls.own_statements(self.subject, since=since, until=until, max_rows=max_rows, after_id=after_id)
        )

    def statement(self, statement_id: int) -> list[StatementLine]:
        """Return what `statement` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            statement_id: The statement, of `own_statements`.

        Returns:
            The lines, in their order.

        Raises:
            NotFound: there is no such statement, or it is another subject's.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [line.amount for line in meter.own_statement("acct_1", 7)]
        """
        return self._run(calls.own_statement(self.subject, statement_id))


class Methods:
    """A method for each public function of SQL."""

    def _run(self, call: Call[T]) -> T:
        raise NotImplementedError

    @property
    def reporting(self) -> Reporting:
        """The calls of a reporter, and what is reported to whom."""
        return Reporting(self._run)

    @property
    def access(self) -> Access:
        """Who may do what: `access()` lists it, `access.grant` and `access.revoke` change it."""
        return Access(self._run)

    def for_subject(self, subject: str) -> SubjectReads:
        """The questions about one subject, for a role that was granted read on that subject alone."""
        return SubjectReads(self._run, subject)

    def define_metric(
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
        after_close: AfterClose | None = None,
    ) -> Metric:
        """Define a metric, or change one. What is left out stays as it is.

        Args:
            key: The name that `record` and `usage` take.
            aggregate: How events become one number: ``sum count min max avg last unique``.
            unit: What one of the quantity is: ``token``, ``GB``, ``seat``.
            name: A title for people.
            description: What is counted and why, for people.
            period: The billing bucket, calendar, UTC: ``minute hour day week month year never``;
                ``month`` for a new metric.
            rollup: The finer bucket kept beside it: ``minute hour day none``; ``hour`` for a new metric.
            striped: Whether concurrent writers of one subject spread over several rows instead of
                waiting.
            max_future: How far ahead of the clock an event may lie; one day for a new metric.
            carry: For ``last``: whether a window without events answers with the last value before it.
            after_close: What to do with a new event of a period that is closed for its subject: ``accept``
                it as late usage, or ``refuse`` it with PeriodSealed. A new metric accepts.

        Returns:
            The metric as it is now.

        Raises:
            InvalidInput: a word is unknown.
            MetricForbids: the aggregate or period of a metric that has events would change.

        Example:
            meter.define_metric("tokens", "sum", "token", name="Tokens")
        """
        return self._run(
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
                after_close=after_close,
            )
        )

    def retire_metric(self, key: str) -> Metric:
        """Retire a metric: its history stays readable, recording is refused.

        Args:
            key: The metric's key.

        Returns:
            The metric as it is now.

        Raises:
            UnknownMetric: the catalog has no such metric.

        Example:
            meter.retire_metric("tokens")
        """
        return self._run(calls.retire_metric(key))

    def metric(self, key: str) -> Metric:
        """Return the definition of one metric, retired or not.

        Args:
            key: The metric's key.

        Returns:
            The metric.

        Raises:
            UnknownMetric: the catalog has no such metric.

        Example:
            meter.metric("tokens").unit
        """
        return self._run(calls.metric(key))

    def catalog(self) -> list[Metric]:
        """Return every metric that was ever defined, retired ones included.

        Returns:
            The metrics, by key.

        Example:
            [metric.key for metric in meter.catalog()]
        """
        return self._run(calls.catalog())

    @overload
    def record(
        self,
        subject: str,
        metric: str,
        quantity: Quantity | None = None,
        *,
        member: str | None = None,
        idempotency_key: str | None = None,
        at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        total: Literal[True] = True,
        overflow: bool = False,
        strict: bool = False,
    ) -> Recorded: ...
    @overload
    def record(
        self,
        subject: str,
        metric: str,
        quantity: Quantity | None = None,
        *,
        member: str | None = None,
        idempotency_key: str | None = None,
        at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        total: bool,
        overflow: bool = False,
        strict: bool = False,
    ) -> Recorded | RecordedWithoutTotal: ...
    def record(
        self,
        subject: str,
        metric: str,
        quantity: Quantity | None = None,
        *,
        member: str | None = None,
        idempotency_key: str | None = None,
        at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        total: bool = True,
        overflow: bool = False,
        strict: bool = False,
    ) -> Recorded | RecordedWithoutTotal:
        """Record one event, exactly once per (subject, metric, idempotency_key).

        Part of the caller's transaction: roll back, and nothing was counted. Without a key every call
        counts.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            quantity: How much, in the metric's unit. A ``count`` metric counts 1 without it.
            member: What a ``unique`` metric counts, instead of a quantity.
            idempotency_key: The caller's name for the event, the same on every retry.
            at: When it happened; now unless given. Decides the period it counts in.
            metadata: Any JSON object; `usage_by` groups by its fields.
            total: False: the result is a RecordedWithoutTotal, which saves a striped metric a look at all of
                its stripes.
            overflow: True: the usage has happened, so no limit refuses it.
            strict: True: what is not recorded raises, instead of an outcome.

        Returns:
            The outcome (``recorded``; ``duplicate``: same key, same payload; ``conflict``: same key,
            another payload; ``refused``: beyond a limit; nothing changed, but by ``recorded``), the event's
            id, the period's new aggregate, and what the limit that binds leaves.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the metric is retired, or takes a member and not a quantity, or the reverse.
            InvalidInput: a value is not allowed; its `parameter` says which.
            NullInput: a value is missing.
            SerializationFailure: run the whole transaction again.
            QuotaExceeded: it is refused, and `strict`.
            DuplicateEvent: the key was used before, and `strict`.

        Example:
            meter.record("acct_1", "tokens", 120, idempotency_key="req_1").quantity  # Decimal('120')
        """
        return self._run(
            calls.record(
                subject,
                metric,
                quantity,
                member=member,
                idempotency_key=idempotency_key,
                at=at,
                metadata=metadata,
                total=total,
                overflow=overflow,
                strict=strict,
            )
        )

    def record_batch(
        self,
        events: Iterable[NewEvent | Mapping[str, Any]],
        on_invalid: Literal["raise", "skip"] = "raise",
        *,
        overflow: bool = False,
        on_refused: Literal["skip", "raise"] = "skip",
    ) -> list[BatchOutcome]:
        """Record many events in one call.

        Outcomes and state are the same as for one `record` after the other.

        Args:
            events: NewEvents, or mappings with the names of `record`'s parameters.
            on_invalid: ``raise``: one bad event refuses the whole batch, and the error's detail names
                its ordinal. ``skip``: it comes back as ``rejected`` with its sqlstate, and the others
                count.
            overflow: True: the usage has happened, so no limit refuses an event.
            on_refused: ``skip``: an event beyond a limit comes back as ``refused``, and the next is decided
                anew. ``raise``: it refuses the whole batch.

        Returns:
            The outcomes in input order, counted from 1.

        Raises:
            InvalidInput: an event is not allowed; see `on_invalid`. A float as a quantity and a
                datetime without a zone are faults of the program: they are refused in both modes.
            QuotaExceeded: an event is beyond a limit, and `on_refused` is ``raise``.
            MeterError: what else `record` raises.

        Example:
            meter.record_batch([{"subject": "acct_1", "metric": "tokens", "quantity": 120}])
        """
        return self._run(calls.record_batch(events, on_invalid, overflow=overflow, on_refused=on_refused))

    def known_events(self, events: Iterable[NewEvent | Mapping[str, Any]]) -> list[BatchOutcome]:
        """Return which of these events were recorded before; for importers. Nothing is recorded.

        An event is known by its `idempotency_key`; or, recorded without one, by the `event_id`,
        `recorded_at` and `at` that `events` returned.

        Args:
            events: NewEvents, or mappings with the names of `record`'s parameters, `event_id` and
                `recorded_at`.

        Returns:
            A row for each known event: ``duplicate``, ``conflict`` if its quantity or member differs,
            or ``rejected`` if its month was dropped, so that nobody can tell.

        Raises:
            InvalidInput: a quantity is a float.

        Example:
            meter.known_events([{"subject": "acct_1", "metric": "tokens", "idempotency_key": "req_1"}])
        """
        return self._run(calls.known_events(events))

    def usage(
        self,
        subject: str,
        metric: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
        as_of: datetime | None = None,
    ) -> UsageTotal:
        """Return the usage of one metric in one window.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.
            as_of: A watermark (`watermark`): only what had been recorded up to then.

        Returns:
            The quantity; zero of zero events when there was none.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            LockUnavailable: `as_of` is later than the subject's last watermark.

        Example:
            meter.usage("acct_1", "tokens", period="30 days").quantity
        """
        return self._run(
            calls.usage(
                subject,
                metric,
                period=period,
                since=since,
                until=until,
                timezone=timezone,
                now=now,
                as_of=as_of,
            )
        )

    def summary(
        self,
        subject: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
        as_of: datetime | None = None,
    ) -> list[UsageTotal]:
        """Return an invoice's lines: the usage of every metric in one window.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.
            as_of: A watermark (`watermark`): only what had been recorded up to then.

        Returns:
            A line for each metric that is in use, zeros included, and for each retired one that has
            usage in the window.

        Raises:
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            LockUnavailable: `as_of` is later than the subject's last watermark.

        Example:
            for line in meter.summary("acct_1", period="month"):
                print(line.metric, line.quantity, line.unit)
        """
        return self._run(
            calls.summary(
                subject, period=period, since=since, until=until, timezone=timezone, now=now, as_of=as_of
            )
        )

    def series(
        self,
        subject: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        step: CalendarStep | str = "day",
        timezone: str = "UTC",
        as_of: datetime | None = None,
    ) -> list[UsageBucket]:
        """Return the usage step by step over [`since`, `until`), gaps filled: a chart plots it as it is.

        Without events a bucket is 0 for ``sum``, ``count`` and ``unique``, and None for the others,
        unless a ``last`` metric carries its value over.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            since: The first step's start.
            until: The end, not included.
            step: A calendar word (``minute hour day week month year``); ``cycle``, the subject's billing
                cycles; or a duration such as ``15m``, counted from `since`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            as_of: A watermark (`watermark`): only what had been recorded up to then.

        Returns:
            A row for each step, in order.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the range or the step is not allowed.
            LockUnavailable: `as_of` is later than the subject's last watermark.

        Example:
            meter.series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
        """
        return self._run(
            calls.series(subject, metric, since, until, step=step, timezone=timezone, as_of=as_of)
        )

    def usage_by(
        self,
        subject: str,
        metric: str,
        dimension: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageGroup]:
        """Return the usage of one metric in one window, grouped by a field of the events' metadata.

        Reads the log.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            dimension: The field's name.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            A row for each value; ``None`` holds the events without the field.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            EventsDropped: events of the window were dropped.

        Example:
            meter.usage_by("acct_1", "tokens", "model", period="month")
        """
        return self._run(
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

    def check_quota(
        self,
        subject: str,
        metric: str,
        quota: Quantity | None = None,
        requested: Quantity | None = None,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> QuotaStatus:
        """Check whether a quota, or the subject's limits, have room, now or for `requested` more.

        Allowed means used < quota, or used + requested <= quota. Without a quota all limits that block have
        to allow it, and the one that binds is returned, with its period. It reserves nothing: two callers may
        both be told yes.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            quota: How much may be used in the window, in the metric's unit. Without it, the limits decide,
                and no window is given.
            requested: How much more is wanted.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Whether it is allowed, what is used and what remains.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.

        Example:
            meter.check_quota("acct_1", "tokens", 1_000_000, requested=5_000).allowed
        """
        return self._run(
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

    def totals(
        self,
        metric: str,
        *,
        period: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
        max_rows: int = 1000,
        after_subject: str | None = None,
    ) -> list[SubjectTotal]:
        """Return the usage of one metric in one window, by subject: what to bill all customers.

        Args:
            metric: The metric's key.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with
                `now`. Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.
            max_rows: The length of a page, at most 10,000.
            after_subject: The last row's ``subject``, for the next page of the same window; `iter_totals`
                does that.

        Returns:
            A page of subjects, ordered by name. A metric that carries its last value over has it for
            subjects without events in the window, too.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            EventsDropped: events at an edge of the window were dropped.

        Example:
            {row.subject: row.quantity for row in meter.totals("tokens", period="month")}
        """
        return self._run(
            calls.totals(
                metric,
                period=period,
                since=since,
                until=until,
                timezone=timezone,
                now=now,
                max_rows=max_rows,
                after_subject=after_subject,
            )
        )

    def subjects(
        self, max_rows: int = 100, *, after_subject: str | None = None, after_at: datetime | None = None
    ) -> list[SubjectActivity]:
        """Return the subjects that were last active, most recent first.

        Args:
            max_rows: The length of a page, at most 10,000.
            after_subject: The last row's ``subject``, for the next page; `iter_subjects` does that.
            after_at: The last row's ``last_activity_at``. Without it, a subject that has new events
                since would begin the page where it is now.

        Returns:
            A page of subjects.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [row.subject for row in meter.subjects(10)]
        """
        return self._run(calls.subjects(max_rows, after_subject=after_subject, after_at=after_at))

    def events(
        self,
        subject: str,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int | None = None,
        max_rows: int = 100,
        after_at: datetime | None = None,
        as_of: datetime | None = None,
    ) -> list[Event]:
        """Return a page of the log, newest first: why was this charged?

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: One metric's events; all unless given.
            since: The earliest time, included.
            until: The latest time, not included.
            after_id: The last row's ``event_id``, for the next page; `iter_events` does that.
            max_rows: The length of a page, at most 10,000.
            after_at: The last row's ``at``: optional, saves a look-up.
            as_of: A watermark (`watermark`): only what had been recorded up to then.

        Returns:
            A page of events.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            LockUnavailable: `as_of` is later than the subject's last watermark.

        Example:
            meter.events("acct_1", "tokens", max_rows=10)
        """
        return self._run(
            calls.events(
                subject,
                metric,
                since=since,
                until=until,
                after_id=after_id,
                max_rows=max_rows,
                after_at=after_at,
                as_of=as_of,
            )
        )

    def all_events(
        self,
        metric: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int | None = None,
        max_rows: int = 100,
    ) -> list[Event]:
        """Return a page of the log of all subjects, the latest recorded first.

        Args:
            metric: One metric's events; all unless given.
            since: The earliest time, included.
            until: The latest time, not included.
            after_id: The last row's ``event_id``, for the next page; `iter_all_events` does that.
            max_rows: The length of a page, at most 10,000.

        Returns:
            A page of events; a shorter one is the last.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.

        Example:
            [(event.subject, event.quantity) for event in meter.all_events("tokens", max_rows=10)]
        """
        return self._run(
            calls.all_events(metric, since=since, until=until, after_id=after_id, max_rows=max_rows)
        )

    def resolve_window(
        self,
        period: Period | str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> Window:
        """Return the window that every other call would use for these arguments.

        Args:
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with
                `now`. Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The window's start and end.

        Raises:
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.

        Example:
            meter.resolve_window("month", timezone="Europe/Berlin").since
        """
        return self._run(calls.resolve_window(period, since=since, until=until, timezone=timezone, now=now))

    def void_event(
        self,
        subject: str,
        metric: str,
        event_id: int | None = None,
        *,
        idempotency_key: str | None = None,
        reason: str | None = None,
        at: datetime | None = None,
    ) -> Corrected:
        """Take an event back: it no longer counts, in the period that it counted in.

        It stays in the log, and its idempotency key stays spent. Limits get the quantity back, and what was
        reported to a biller is taken back from it.

        Args:
            subject: Who consumed: an account, an organisation, an API key.
            metric: The metric's key.
            event_id: The event, as `events` returns it; or an adjustment.
            idempotency_key: The event, by its key instead.
            reason: Why; required.
            at: The event's time, by which it is found faster.

        Returns:
            The correction, the event, the outcome (``applied``, or ``duplicate`` if it counts no more)
            and the new quantity of the period.

        Raises:
            UnknownMetric: the catalog has no such metric.
            NotFound: there is no such event.
            EventsDropped: its month was dropped.
            InvalidInput: a value is not allowed.
            NullInput: the reason, or the event, is missing.
            psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for a second person.
            LockUnavailable: others hold the series for more than a second.

        Example:
            meter.void_event("acct_1", "tokens", idempotency_key="req_1", reason="test traffic").quantity
        """
        return self._run(
            calls.void_event(subject, metric, event_id, idempotency_key=idempotency_key, reason=reason, at=at)
        )

    def amend_event(
        self,
        subject: str,
        metric: str,
        event_id: int | None = None,
        *,
        idempotency_key: str | None = None,
        quantity: Quantity | None = None,
        member: str | None = None,
        at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> Corrected:
        """Replace an event by a new one; what is left out stays as it is.

        The idempotency key then names the new event. A retry with the old or the new payload is a duplicate.

        Args:
            subject: Who consumed: an account, an organisation, an API key.
            metric: The metric's key.
            event_id: The event, as `events` returns it.
            idempotency_key: The event, by its key instead.
            quantity: How much it was, in the metric's unit.
            member: What a ``unique`` metric is to count.
            at: When it happened.
            metadata: Any JSON object.
            reason: Why; required.

        Returns:
            The correction, the new event, the outcome (``applied``; ``duplicate`` if it would change nothing;
            ``conflict`` if the event does not count any more) and the new quantity of the new event's period.

        Raises:
            MeterError: what `void_event` and `record` raise.

        Example:
            meter.amend_event("acct_1", "tokens", idempotency_key="req_1", quantity=20, reason="a fault")
        """
        return self._run(
            calls.amend_event(
                subject,
                metric,
                event_id,
                idempotency_key=idempotency_key,
                quantity=quantity,
                member=member,
                at=at,
                metadata=metadata,
                reason=reason,
            )
        )

    def adjust(
        self,
        subject: str,
        metric: str,
        quantity: Quantity,
        *,
        at: datetime | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Corrected:
        """Add a signed quantity to the usage of a sum or count: a credit, a goodwill. It is no event.

        Args:
            subject: Who consumed: an account, an organisation, an API key.
            metric: The metric's key.
            quantity: In the metric's unit; negative to take usage away.
            at: The time at which it counts; now unless given.
            reason: Why; required.
            idempotency_key: The caller's name for it, the same on every retry.

        Returns:
            The correction, the adjustment's id, the outcome (``applied``, ``duplicate`` or ``conflict``)
            and the new quantity of the period.

        Raises:
            MetricForbids: the metric is neither a sum nor a count.
            MeterError: what else `void_event` raises.

        Example:
            meter.adjust("acct_1", "tokens", -5, reason="goodwill").quantity
        """
        return self._run(
            calls.adjust(subject, metric, quantity, at=at, reason=reason, idempotency_key=idempotency_key)
        )

    def open_correction(self, reason: str, *, idempotency_key: str | None = None) -> int:
        """Open a correction: changes that are staged, previewed, and count once they are approved.

        Args:
            reason: Why.
            idempotency_key: A repeat with the same key is the same correction.

        Returns:
            Its id.

        Raises:
            InvalidInput: a value is not allowed.
            DuplicateEvent: the key was used with another reason.

        Example:
            meter.open_correction("backfill of June", idempotency_key="backfill-june")
        """
        return self._run(calls.open_correction(reason, idempotency_key=idempotency_key))

    def stage_correction(self, id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> int:
        """Add entries to an open correction, any number of times. They count nowhere until it is approved.

        An entry ``void`` with `since` and `until` stands for a void of every event of that window. A
        ``record`` with the key of an event that an earlier entry voids takes its place. The entries are sent
        in batches of 10,000, in one transaction.

        Args:
            id: The correction, of `open_correction`.
            entries: VoidEntry, AmendEntry, AdjustEntry and RecordEntry; or mappings with the field ``entry``,
                ``void``, ``amend``, ``adjust`` or ``record``, and the parameters of that call by name.

        Returns:
            How many entries the correction has.

        Raises:
            NotFound: there is no such correction, or an event of an entry.
            InvalidInput: the correction is not open, or an entry is not allowed; the detail says which.
            psycopg.errors.InsufficientPrivilege: with the setting ``four_eyes``, another role opened it.
            MeterError: what else the calls of the entries raise.

        Example:
            meter.stage_correction(7, [VoidEntry(subject="acct_1", metric="tokens", event_id=42)])
        """
        return self._run(calls.stage_correction(id, entries))

    def preview_correction(self, id: int) -> list[CorrectionEffect]:
        """Return what approving an open correction would change now. It only reads.

        Args:
            id: The correction.

        Returns:
            A row for each subject, metric and period, with the quantity before and after, and what
            that changes in money.

        Raises:
            NotFound: there is no such correction.
            InvalidInput: it is not open.
            MeterError: an entry can no longer be applied.

        Example:
            [effect.delta for effect in meter.preview_correction(7)]
        """
        return self._run(calls.preview_correction(id))

    def approve_correction(self, id: int) -> list[CorrectionEffect]:
        """Make all entries of an open correction count, in one transaction.

        Who records for the series concerned waits for the end of the transaction, so commit at once.

        Args:
            id: The correction.

        Returns:
            What has changed, as `preview_correction` returns it. The rows differ from the preview's if
            something was recorded or corrected in between.

        Raises:
            NotFound: there is no such correction.
            InvalidInput: it is not open.
            psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for another role than the one
                that opened it.
            LockUnavailable: others hold a series for more than a second; nothing was changed.
            MeterError: an entry can no longer be applied.

        Example:
            [effect.after for effect in meter.approve_correction(7)]
        """
        return self._run(calls.approve_correction(id))

    def reject_correction(self, id: int, reason: str) -> None:
        """Close an open correction without applying it; its entries stay to be read.

        Args:
            id: The correction.
            reason: Why.

        Raises:
            NotFound: there is no such correction.
            InvalidInput: it is not open, or the reason is not allowed.
            psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for another role than the one
                that opened it.

        Example:
            meter.reject_correction(7, "wrong month")
        """
        return self._run(calls.reject_correction(id, reason))

    def revert_correction(self, id: int, reason: str) -> int:
        """Take an approved correction back, once, by a correction that undoes it.

        What it voided counts again, under its id; what it recorded or adjusted does not. Keys stay spent.

        Args:
            id: The correction.
            reason: Why.

        Returns:
            The id of the new correction, which cannot be reverted itself.

        Raises:
            NotFound: there is no such correction.
            InvalidInput: it is not approved, or a later correction has changed its events; the hint names it.
            EventsDropped: a month of its events was dropped.
            psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for another role than the one
                that opened it.
            LockUnavailable: others hold a series for more than a second; nothing was changed.

        Example:
            meter.revert_correction(7, "wrong account")
        """
        return self._run(calls.revert_correction(id, reason))

    def corrections(
        self,
        state: CorrectionState | None = None,
        subject: str | None = None,
        *,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[Correction]:
        """Return corrections, the latest first: who opened, approved or rejected them, when and why.

        Args:
            state: ``open``, ``approved``, ``rejected`` or ``reverted``; all unless given.
            subject: Those with an entry for this subject.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``correction_id``, for the next page.

        Returns:
            A page of corrections.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [correction.reason for correction in meter.corrections("open")]
        """
        return self._run(calls.corrections(state, subject, max_rows=max_rows, after_id=after_id))

    def correction_entries(
        self, id: int, *, max_rows: int | None = None, after_ordinal: int = 0
    ) -> list[CorrectionEntry]:
        """Return the entries of a correction in their order, and what approving did to each.

        Args:
            id: The correction.
            max_rows: The length of a page, 1 to 10,000; None: all.
            after_ordinal: The last row's ``ordinal``, for the next page.

        Returns:
            The entries.

        Raises:
            NotFound: there is no such correction.
            InvalidInput: a value is not allowed.

        Example:
            [entry.outcome for entry in meter.correction_entries(7)]
        """
        return self._run(calls.correction_entries(id, max_rows=max_rows, after_ordinal=after_ordinal))

    def watermark(self, subject: str) -> datetime:
        """Draw a watermark: a time up to which nothing of the subject can be recorded any more.

        What is asked as of it (`usage`, `summary`, `series`, `events`) has the same answer for ever. The
        subject's recording waits until the transaction ends.

        Args:
            subject: Who consumes: an account, an organisation, an API key.

        Returns:
            The watermark.

        Raises:
            InvalidInput: the subject is not allowed.
            LockUnavailable: a transaction that records for the subject stays open.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.usage("acct_1", "tokens", period="month", as_of=meter.watermark("acct_1"))
        """
        return self._run(calls.watermark(subject))

    def close_period(
        self,
        subject: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        period: SubjectPeriod | None = None,
        now: datetime | None = None,
    ) -> StatementHeader:
        """Close a period of a subject with a statement, which never changes.

        What is recorded for the period later is late usage. Closing the same period again returns its
        statement. Without `since`, `until` and `period`: the last billing cycle that ended before `now`. The
        subject's recording waits until the transaction ends, so commit at once.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            since: The period's start.
            until: The period's end, not included.
            period: The last one of its kind that ended before `now`: ``minute hour day week month year``
                in UTC, or ``cycle``.
            now: The moment that counts as now; the database's clock unless given.

        Returns:
            The statement's header; `statement` has its lines.

        Raises:
            InvalidInput: a value is not allowed, the period has not ended, or a part of it is closed already.
            NotReady: a reservation of the period is open, or buckets differ from the log.
            LockUnavailable: a transaction that records for the subject stays open; nothing was changed.
            EventsDropped: the period cuts a bucket of a dropped month.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.close_period("acct_1", period="month").statement_id
        """
        return self._run(calls.close_period(subject, since, until, period=period, now=now))

    def close_due(self, *, now: datetime | None = None, max_rows: int = 1000) -> list[Closing]:
        """Close the billing cycles that ended longer ago than the setting ``grace``.

        Of each subject: the cycle after its last statement; without a statement the last one that ended. It
        ends after a second, because recording waits for what it closes: commit, and call it again until no
        row has the outcome ``closed``.

        Args:
            now: The moment that counts as now; the database's clock unless given.
            max_rows: How many to close at most, 1 to 10,000.

        Returns:
            A row for each period: ``closed`` with its statement's totals, or ``postponed`` with the reason.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            while any(period.outcome == "closed" for period in meter.close_due()):
                pass
        """
        return self._run(calls.close_due(now=now, max_rows=max_rows))

    def statements(
        self,
        subject: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[StatementHeader]:
        """Return statements, the one that was closed last first.

        Args:
            subject: Those of this subject; all unless given.
            since: Only periods that end after this.
            until: Only periods that begin before this.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``statement_id``, for the next page.

        Returns:
            A page of headers.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [header.hash for header in meter.statements("acct_1")]
        """
        return self._run(
            calls.statements(subject, since=since, until=until, max_rows=max_rows, after_id=after_id)
        )

    def statement(self, statement_id: int) -> list[StatementLine]:
        """Return the lines of a statement: those that `invoice` had when the period was closed.

        Of a subject without prices: a line for each metric, then late lines of earlier periods.

        Args:
            statement_id: The statement, of `statements` or `close_period`.

        Returns:
            The lines, in their order.

        Raises:
            NotFound: there is no such statement.

        Example:
            for line in meter.statement(7):
                print(line.kind, line.metric, line.quantity, line.amount)
        """
        return self._run(calls.statement(statement_id))

    def statement_document(self, statement_id: int) -> str:
        """Return a statement as the text whose SHA-256 is its hash: JSON, always the same.

        Keep it outside of the database, and nobody can change the statement unnoticed.

        Args:
            statement_id: The statement, of `statements` or `close_period`.

        Returns:
            The text; it names the subject only by a digest.

        Raises:
            NotFound: there is no such statement.

        Example:
            hashlib.sha256(meter.statement_document(7).encode()).hexdigest()
        """
        return self._run(calls.statement_document(statement_id))

    def verify_statements(self, subject: str | None = None) -> list[StatementProblem]:
        """Check statements: their hashes, their chain, and their quantities against the log.

        Args:
            subject: Those of this subject; all unless given.

        Returns:
            What does not fit. Nothing means that all is as it was closed.

        Raises:
            InvalidInput: the subject is not allowed.

        Example:
            assert meter.verify_statements() == []
        """
        return self._run(calls.verify_statements(subject))

    def late_usage(
        self,
        subject: str | None = None,
        metric: str | None = None,
        *,
        statement_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        max_rows: int = 1000,
        after_id: int | None = None,
        decided: bool = False,
    ) -> list[LateUsage]:
        """Return the lines of statements whose usage has changed since, and is not decided yet.

        Args:
            subject: Those of this subject; all unless given.
            metric: Those of this metric.
            statement_id: Those of this statement.
            since: Only periods that end after this.
            until: Only periods that begin before this.
            max_rows: The length of a page, at most 10,000.
            after_id: The last statement that is complete, for the next page.
            decided: Also lines of which something was billed or waived, and nothing is open.

        Returns:
            The lines, by statement and metric; ``delta`` is what is open.

        Raises:
            UnknownMetric: the catalog has no such metric.
            NotFound: there is no such statement.
            InvalidInput: a value is not allowed.

        Example:
            {(late.statement_id, late.metric): late.delta for late in meter.late_usage("acct_1")}
        """
        return self._run(
            calls.late_usage(
                subject,
                metric,
                statement_id=statement_id,
                since=since,
                until=until,
                max_rows=max_rows,
                after_id=after_id,
                decided=decided,
            )
        )

    def settle_late_usage(
        self,
        statement_id: int,
        metric: str,
        delta: Quantity,
        decision: LateDecision,
        *,
        reason: str | None = None,
    ) -> LateSettlement:
        """Decide about late usage of one line of a statement.

        A negative delta first takes back what was waived on the line; billing the rest is a credit.

        Args:
            statement_id: The statement.
            metric: The metric's key.
            delta: All that is open, as `late_usage` returns it: nothing is decided that you have not seen.
            decision: ``bill``, with the subject's next statement; or ``waive``.
            reason: Why.

        Returns:
            The outcome: ``settled``, ``duplicate`` (nothing is open) or ``conflict`` (the delta has moved).
            Also what a decision to bill adds to the next statement.

        Raises:
            UnknownMetric: the catalog has no such metric.
            NotFound: there is no such statement.
            InvalidInput: a value is not allowed.
            LockUnavailable: the subject is being closed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            for late in meter.late_usage("acct_1"):
                meter.settle_late_usage(late.statement_id, late.metric, late.delta, "bill")
        """
        return self._run(calls.settle_late_usage(statement_id, metric, delta, decision, reason=reason))

    def what_changed(
        self,
        statement_id: int,
        metric: str | None = None,
        *,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[Event]:
        """Return the rows of the log behind late usage, in the order of recording.

        Args:
            statement_id: The statement.
            metric: Only of this metric.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``event_id``, for the next page.

        Returns:
            What was recorded for the period after it was closed.

        Raises:
            NotFound: there is no such statement.
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.

        Example:
            [event.quantity for event in meter.what_changed(7, "tokens")]
        """
        return self._run(calls.what_changed(statement_id, metric, max_rows=max_rows, after_id=after_id))

    def erase_subject(self, subject: str, pseudonym: str) -> int:
        """Remove a subject's name, members, keys and metadata everywhere; totals and statements stay.

        Key digests stay, so that old retries remain duplicates. It cannot be undone.

        Args:
            subject: Who consumed: an account, an organisation, an API key.
            pseudonym: The name that takes its place.

        Returns:
            How many rows of the log were rewritten.

        Raises:
            InvalidInput: a value is not allowed, or the pseudonym is in use.
            NotFound: the subject is not known.
            NotReady: a correction of the subject is open, or its usage is still to be reported.
            LockUnavailable: a transaction that records for the subject stays open; nothing was changed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.erase_subject("acct_1", "erased_4711")
        """
        return self._run(calls.erase_subject(subject, pseudonym))

    def settings(self) -> list[Setting]:
        """Return the settings of the meter.

        Returns:
            The settings, by name, with their defaults and what they do.

        Example:
            {setting.name: setting.value for setting in meter.settings()}
        """
        return self._run(calls.settings())

    def set_setting(self, name: str, value: str | None) -> Setting:
        """Change a setting of the meter.

        Args:
            name: A name that `settings` lists.
            value: The new value; None restores the default.

        Returns:
            The setting as it is now.

        Raises:
            InvalidInput: the name is unknown, or the setting cannot have that value.

        Example:
            meter.set_setting("notifications_keep", "30 days")
        """
        return self._run(calls.set_setting(name, value))

    def admin_log(
        self, object: str | None = None, *, max_rows: int = 100, before_id: int | None = None
    ) -> list[AdminEntry]:
        """Return what administrators have changed, the newest change first.

        Args:
            object: One metric's, setting's, subject's, plan's or role's changes; all unless given.
            max_rows: The length of a page, at most 10,000.
            before_id: The last row's ``entry_id``, for the next page.

        Returns:
            A page of changes: who, when, with which function, before and after.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.admin_log("tokens")
        """
        return self._run(calls.admin_log(object, max_rows=max_rows, before_id=before_id))

    def billing_cycle(self, subject: str, *, at: datetime | None = None) -> Window:
        """Return the billing cycle of a subject that contains a moment.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            at: The moment; now unless given.

        Returns:
            The cycle's start and end. A subject without a cycle of its own has the calendar month, UTC.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.billing_cycle("acct_1").until
        """
        return self._run(calls.billing_cycle(subject, at=at))

    def set_billing_cycle(
        self,
        subject: str,
        anchor: datetime,
        *,
        timezone: str = "UTC",
        every: CycleLength = "month",
        since: datetime | None = None,
    ) -> BillingCycle:
        """Set the billing cycle of a subject.

        The first rule holds from its anchor. A change holds from its first start of a cycle at or after
        `since`, or now; the cycle that runs then ends there.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            anchor: A start of a cycle. On the 29th to 31st it means the last day of a shorter month.
            timezone: The name of the zone in which cycles start at the anchor's time of day.
            every: ``week``, ``month`` or ``year``.
            since: From when; a time in the past changes past cycles.

        Returns:
            The rule, with the moment from which it holds.

        Raises:
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that record for the subject stay open.

        Example:
            meter.set_billing_cycle("acct_1", datetime(2026, 1, 31, tzinfo=timezone.utc))
        """
        return self._run(
            calls.set_billing_cycle(subject, anchor, timezone=timezone, every=every, since=since)
        )

    def define_plan(self, plan: str, name: str | None = None) -> Plan:
        """Define a plan that subjects can subscribe to, or change its name.

        Args:
            plan: The plan's key.
            name: A title for people; None keeps what is stored, an empty one removes it.

        Returns:
            The plan as it is now.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.define_plan("pro", "Pro")
        """
        return self._run(calls.define_plan(plan, name))

    def plans(self) -> list[Plan]:
        """Return every plan.

        Returns:
            The plans, by key.

        Example:
            [plan.plan for plan in meter.plans()]
        """
        return self._run(calls.plans())

    def subscribe(
        self, subject: str, plan: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Subscription:
        """Subscribe a subject to a plan: its limits and prices then hold.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            plan: The plan's key.
            since: From when; now unless given.
            until: Until when, not included; open unless given.

        Returns:
            The subscription. The same call again changes nothing, if it gives `since`.

        Raises:
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed, or the subject has the plan already in a part of that time.
            LockUnavailable: transactions that record for the subject stay open.

        Example:
            meter.subscribe("acct_1", "pro")
        """
        return self._run(calls.subscribe(subject, plan, since=since, until=until))

    def unsubscribe(self, subject: str, plan: str, *, at: datetime | None = None) -> Subscription:
        """End a subject's subscription to a plan.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            plan: The plan's key.
            at: When; now unless given. A subscription that would begin later is removed.

        Returns:
            The subscription, with its end.

        Raises:
            NotFound: there is no such plan, or no such subscription.
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that record for the subject stay open.

        Example:
            meter.unsubscribe("acct_1", "pro")
        """
        return self._run(calls.unsubscribe(subject, plan, at=at))

    def subscriptions(self, subject: str, *, at: datetime | None = None) -> list[Subscription]:
        """Return the subscriptions of a subject, the earliest first.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            at: Those at this moment; all unless given.

        Returns:
            A row for each subscription.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [subscription.plan for subscription in meter.subscriptions("acct_1")]
        """
        return self._run(calls.subscriptions(subject, at=at))

    def set_limit(
        self,
        metric: str,
        quota: Quantity | None,
        *,
        subject: str | None = None,
        plan: str | None = None,
        period: str | None = None,
        action: LimitAction = "block",
        marks: Sequence[Quantity] | None = None,
        name: str = "default",
        since: datetime | None = None,
        rollover_min: Quantity | None = None,
        rollover_max: Quantity | None = None,
        every: Quantity | None = None,
        projected: bool = False,
    ) -> Limit:
        """Limit how much of a metric may be used in a period: by a subject, with a plan, or by everyone.

        Of one name and period, a subject's own limit counts before those of its plans, of which the strictest
        counts, and these before everyone's. Limits of other names or periods hold beside it.

        Args:
            metric: The metric's key.
            quota: How much, in the metric's unit; None: unlimited.
            subject: Whose limit. Without subject and plan: everyone's.
            plan: The limit of every subject that has this plan.
            period: A calendar word (``minute hour day week month year never``, UTC); ``cycle``, the subject's
                billing cycle; or a duration (``30 days``) that ends now. The metric's own unless given.
            action: Beyond the quota: ``block`` refuses events, ``alert`` notifies, ``none`` does neither.
            marks: Percentages of the quota at which a notification is written; 80 and 100 unless given.
            name: Tells several limits of a metric apart.
            since: From when; now unless given.
            rollover_min: When a period ends, at least this much goes over to the next one.
            rollover_max: At most this much of what is left goes over. Without both, nothing does.
            every: Beyond the quota, one more notification at each further step of this size.
            projected: `judge_projections` also notifies of marks that the usage expected at the end of the
                period reaches.

        Returns:
            The version of the limit. The same call again changes nothing.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the aggregate is ``min`` or ``avg``, or it has no buckets to project.
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that record for the subject stay open.

        Example:
            meter.set_limit("tokens", 1_000_000, subject="acct_1")
        """
        return self._run(
            calls.set_limit(
                metric,
                quota,
                subject=subject,
                plan=plan,
                period=period,
                action=action,
                marks=marks,
                name=name,
                since=since,
                rollover_min=rollover_min,
                rollover_max=rollover_max,
                every=every,
                projected=projected,
            )
        )

    def remove_limit(
        self,
        metric: str,
        *,
        subject: str | None = None,
        plan: str | None = None,
        period: str | None = None,
        name: str = "default",
    ) -> Limit:
        """End a limit now, and its versions that were to begin later. What it shadowed counts again.

        Args:
            metric: The metric's key.
            subject: Whose limit it is.
            plan: Whose limit it is.
            period: The limit's period; the metric's own unless given.
            name: The limit's name.

        Returns:
            The version that ends the limit; if it has not begun, at its first since.

        Raises:
            UnknownMetric: the catalog has no such metric.
            NotFound: there is no such limit.
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that record for the subject stay open.

        Example:
            meter.remove_limit("tokens", subject="acct_1")
        """
        return self._run(calls.remove_limit(metric, subject=subject, plan=plan, period=period, name=name))

    def limits(
        self,
        metric: str | None = None,
        *,
        subject: str | None = None,
        plan: str | None = None,
        at: datetime | None = None,
        max_rows: int = 1000,
        after_id: int | None = None,
    ) -> list[Limit]:
        """Return the limits that hold, in the order in which they were set.

        Args:
            metric: One metric's limits; all unless given.
            subject: The limits of this subject itself; `effective_limits` has those that it gets otherwise.
            plan: The limits of this plan.
            at: When; now unless given.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``limit_id``, for the next page.

        Returns:
            A page of limits.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [limit.quota for limit in meter.limits("tokens")]
        """
        return self._run(
            calls.limits(metric, subject=subject, plan=plan, at=at, max_rows=max_rows, after_id=after_id)
        )

    def effective_limits(
        self, subject: str, metric: str, *, at: datetime | None = None
    ) -> list[EffectiveLimit]:
        """Return the limits of a subject and metric: those that count, and those that are shadowed.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            at: When the usage happens; now unless given.

        Returns:
            A row for each limit, with its period and the reason.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.

        Example:
            [limit.quota for limit in meter.effective_limits("acct_1", "tokens") if limit.counts]
        """
        return self._run(calls.effective_limits(subject, metric, at=at))

    def notifications(
        self,
        type: str | None = None,
        *,
        subject: str | None = None,
        after_id: int | None = None,
        max_rows: int = 100,
        newest_first: bool = False,
    ) -> list[Notification]:
        """Return the notifications, the oldest first: marks that were reached, refusals, changes.

        Args:
            type: One type's, such as ``threshold.exceeded``; all unless given.
            subject: One subject's.
            after_id: The last row's ``notification_id``, for the next page. A transaction that commits later
                may still write a smaller one.
            max_rows: The length of a page, at most 10,000.
            newest_first: The newest first, and the next page has older ones.

        Returns:
            A page of notifications.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.notifications("limit.refused")
        """
        return self._run(
            calls.notifications(
                type, subject=subject, after_id=after_id, max_rows=max_rows, newest_first=newest_first
            )
        )

    def overruns(
        self,
        metric: str | None = None,
        *,
        subject: str | None = None,
        now: datetime | None = None,
        max_rows: int = 1000,
    ) -> list[Overrun]:
        """Return the limits that block and of which more is used than their quota, with the cause.

        Looks at every series of the limited metrics, or of one metric or subject.

        Args:
            metric: One metric's; of all limited metrics unless given.
            subject: One subject's.
            now: A moment of the period to look at, and the end of trailing windows; the present unless given.
            max_rows: How many at most, 10,000 at most.

        Returns:
            What is beyond a quota, by metric and subject.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.overruns("tokens")
        """
        return self._run(calls.overruns(metric, subject=subject, now=now, max_rows=max_rows))

    def top_up(
        self,
        subject: str,
        metric: str,
        quantity: Quantity,
        idempotency_key: str,
        *,
        priority: int = 50,
        since: datetime | None = None,
        expires_at: datetime | None = None,
        source: TopUpSource = "paid",
        reason: str | None = None,
    ) -> TopUp:
        """Give a subject units of a metric beyond its quota. What is left stays when a period ends.

        A period's usage takes the quota first, then the top-ups that are active when it happens: the lower
        priority first, then the one that expires earlier, promotional before paid, the earlier `since`.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key. It is a ``sum`` or ``count``.
            quantity: How much, in the metric's unit.
            idempotency_key: Makes a retry the same top-up.
            priority: Lower ones are used first.
            since: From when usage may take from it; the start of the running period unless given.
            expires_at: Until when, not included; for ever unless given.
            source: ``paid`` or ``promotional``.
            reason: Why, for people.

        Returns:
            The top-up. The same call again changes nothing.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the metric is no ``sum`` or ``count``.
            DuplicateEvent: the key was used for another top-up.
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that record for the subject stay open.

        Example:
            meter.top_up("acct_1", "tokens", 200, "invoice_17")
        """
        return self._run(
            calls.top_up(
                subject,
                metric,
                quantity,
                idempotency_key,
                priority=priority,
                since=since,
                expires_at=expires_at,
                source=source,
                reason=reason,
            )
        )

    def void_top_up(self, top_up_id: int, reason: str) -> TopUp:
        """Take a top-up back. It then counts as if it had never been, also for usage that took from it.

        Args:
            top_up_id: The top-up's id.
            reason: Why, for people.

        Returns:
            The top-up. One that is void already is returned unchanged.

        Raises:
            NotFound: there is no such top-up.
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that record for the subject stay open.

        Example:
            meter.void_top_up(meter.top_up("acct_1", "tokens", 200, "invoice_17").top_up_id, "refunded")
        """
        return self._run(calls.void_top_up(top_up_id, reason))

    def top_ups(self, subject: str, metric: str, *, at: datetime | None = None) -> list[ActiveTopUp]:
        """Return the active top-ups of a subject, in the order in which they are used.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            at: When; now unless given.

        Returns:
            A row for each, with what is used and left of it; first what the period before has left over.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the metric is no ``sum`` or ``count``.
            InvalidInput: a value is not allowed.

        Example:
            [top_up.remaining for top_up in meter.top_ups("acct_1", "tokens")]
        """
        return self._run(calls.top_ups(subject, metric, at=at))

    def balance(self, subject: str, metric: str, *, at: datetime | None = None) -> Balance:
        """Return what a subject has of a metric: quota, usage, top-ups, and all that may still be used.

        Usage up to and at the moment counts; limits, top-ups and reservations are those of now.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            at: When; now unless given.

        Returns:
            The balance, of the limit that top-ups raise. Without one, quota and remaining are None.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the metric is no ``sum`` or ``count``.
            InvalidInput: a value is not allowed.

        Example:
            meter.balance("acct_1", "tokens").remaining
        """
        return self._run(calls.balance(subject, metric, at=at))

    def reserve(
        self,
        subject: str,
        metric: str,
        quantity: Quantity,
        *,
        idempotency_key: str | None = None,
        minimum: Quantity | None = None,
        ttl: str | timedelta | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Reserved:
        """Keep a quantity free for usage whose size is known afterwards.

        It counts like usage against the limits, until it is settled, released, or expires.
        The `reserved` context manager of a meter settles or releases it.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key; its aggregate is ``sum`` or ``count``.
            quantity: How much, in the metric's unit.
            idempotency_key: The caller's name for the event, the same on every retry.
            minimum: If not all is left, hold what is left, but at least this.
            ttl: How long it holds; the setting ``reservation_ttl`` (10 minutes) unless given.
            metadata: Any JSON object, for the event.

        Returns:
            The outcome (``held``; ``duplicate``: same key, same request: the same reservation; ``conflict``:
            the key is another request's or an event's; ``refused``), the reservation's id, what it holds, and
            what the limit that binds leaves.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the metric is retired, or has another aggregate.
            InvalidInput: a value is not allowed.
            SerializationFailure: run the whole transaction again.

        Example:
            meter.reserve("acct_1", "tokens", 4000).outcome
        """
        return self._run(
            calls.reserve(
                subject,
                metric,
                quantity,
                idempotency_key=idempotency_key,
                minimum=minimum,
                ttl=ttl,
                metadata=metadata,
            )
        )

    def reserve_batch(self, requests: Iterable[Mapping[str, Any]]) -> list[ReservedInBatch]:
        """Reserve several quantities, of any subjects and metrics: all of them or none.

        Args:
            requests: Mappings with the names of `reserve`'s parameters.

        Returns:
            The outcomes in input order. If one is ``refused`` or a ``conflict``, nothing is held, and the
            others are ``skipped``; those that an earlier call has reserved are ``duplicate``, and stay.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: a metric is retired, or has another aggregate than ``sum`` and ``count``.
            InvalidInput: a request is not allowed; the detail names its position.
            SerializationFailure: run the whole transaction again.

        Example:
            meter.reserve_batch([{"subject": "acct_1", "metric": "tokens", "quantity": 4000}])
        """
        return self._run(calls.reserve_batch(requests))

    def settle(
        self,
        reservation_id: int,
        quantity: Quantity,
        *,
        at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Recorded:
        """End a reservation, and record what was used.

        It counts once, as it is, also if it is more than was held, or if the reservation was released or has
        expired.

        Args:
            reservation_id: What `reserve` returned.
            quantity: What was used, in the metric's unit.
            at: When it happened; when it was reserved unless given.
            metadata: Any JSON object; merged over that of the reservation.

        Returns:
            What `record` returns: ``recorded``; ``duplicate``: settled with this quantity before;
            ``conflict``: with another one.

        Raises:
            NotFound: there is no such reservation.
            InvalidInput: a value is not allowed.
            SerializationFailure: run the whole transaction again.

        Example:
            meter.settle(meter.reserve("acct_1", "tokens", 4000).reservation_id, 3120).quantity
        """
        return self._run(calls.settle(reservation_id, quantity, at=at, metadata=metadata))

    def release(self, reservation_id: int) -> Reserved:
        """End a reservation whose usage does not happen.

        Args:
            reservation_id: What `reserve` returned.

        Returns:
            The reservation: ``released``; or ``settled`` or ``expired`` if that came first.

        Raises:
            NotFound: there is no such reservation.
            SerializationFailure: run the whole transaction again.

        Example:
            meter.release(meter.reserve("acct_1", "tokens", 4000).reservation_id).outcome
        """
        return self._run(calls.release(reservation_id))

    def extend(self, reservation_id: int, ttl: str | timedelta | None = None) -> Reserved:
        """Let a reservation hold for `ttl` from now on: the heartbeat of a stream.

        Args:
            reservation_id: What `reserve` returned.
            ttl: How long; the setting ``reservation_ttl`` (10 minutes) unless given.

        Returns:
            The reservation: ``held``; or ``settled``, ``released`` or ``expired``, and nothing changed.

        Raises:
            NotFound: there is no such reservation.
            InvalidInput: the ttl is not allowed.
            SerializationFailure: run the whole transaction again.

        Example:
            meter.extend(meter.reserve("acct_1", "tokens", 4000).reservation_id, "5 minutes").expires_at
        """
        return self._run(calls.extend(reservation_id, ttl))

    def reservations(
        self,
        subject: str | None = None,
        *,
        metric: str | None = None,
        state: ReservationState | None = None,
        max_rows: int = 100,
        before_id: int | None = None,
    ) -> list[Reservation]:
        """Return reservations, the newest first.

        Args:
            subject: One subject's; all unless given.
            metric: One metric's.
            state: ``held``, ``settled``, ``released`` or ``expired``.
            max_rows: The length of a page, at most 10,000.
            before_id: The last row's ``reservation_id``, for the next page.

        Returns:
            A page of reservations.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.

        Example:
            [reservation.held for reservation in meter.reservations("acct_1", state="held")]
        """
        return self._run(
            calls.reservations(subject, metric=metric, state=state, max_rows=max_rows, before_id=before_id)
        )

    def rate(
        self,
        price: GivenPrice,
        quantity: Quantity,
        *,
        billed: Quantity = 0,
        final: bool = True,
        event_count: int | None = None,
        dimensions: Dimensions | None = None,
        billed_events: int = 0,
    ) -> list[RatedLine]:
        """Return what a quantity costs, line by line; the sum of the amounts is the price, exact.

        Args:
            price: A price, or its JSON object.
            quantity: Of the whole period or of a slice of it; a slice may take units back.
            billed: The quantity of the same period that was rated before; the lines are the difference.
            final: Whether no slice follows: then what is due without usage, such as a minimum, is due.
            event_count: The number of events of the quantity, for percentages with a fixed amount.
            dimensions: For a matrix, the combination of the quantity, or a list of all its combinations.
            billed_events: The number of events of what was rated before.

        Returns:
            The lines, those of tiers first, then discount, maximum and minimum.

        Raises:
            InvalidInput: the price or another value is not allowed; the detail has the path in the price.

        Example:
            meter.rate({"model": "unit", "unit_amount": "0.002"}, 1500)
        """
        return self._run(
            calls.rate(
                price,
                quantity,
                billed=billed,
                final=final,
                event_count=event_count,
                dimensions=dimensions,
                billed_events=billed_events,
            )
        )

    def define_price(
        self,
        plan: str,
        item: str,
        price: GivenPrice,
        *,
        metric: str | None = None,
        name: str | None = None,
        since: datetime | None = None,
        subject: str | None = None,
        bill: BillTiming | None = None,
        prorate: bool | None = None,
        tiers_after_change: TiersAfterChange | None = None,
    ) -> PlanPrice:
        """Define a line of a plan, or change it from a time on.

        Args:
            plan: The plan's key.
            item: The line's key within the plan.
            price: A price, or its JSON object. The plan's first price fixes its currency.
            metric: What is priced; a fixed fee of each billing cycle unless given.
            name: A title for people.
            since: From when; unless given, a first version holds from the beginning, a change from now.
            subject: A line of this subject alone, which replaces the plan's.
            bill: Of a fee: ``arrears`` (the default) or ``advance``, with the invoice of the cycle before.
            prorate: Of a fee: whether a part of a cycle costs a part, by days: it does unless False.
            tiers_after_change: Whether a change within a cycle lets tiers ``continue`` (the default) or
                ``restart``.

        Returns:
            The version. Defining what holds already changes nothing.

        Raises:
            NotFound: there is no such plan.
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the price or another value is not allowed, such as another currency.
            LockUnavailable: another session is changing prices.

        Example:
            meter.define_price("pro", "tokens", {"model": "unit", "unit_amount": "0.002"}, metric="tokens")
        """
        return self._run(
            calls.define_price(
                plan,
                item,
                price,
                metric=metric,
                name=name,
                since=since,
                subject=subject,
                bill=bill,
                prorate=prorate,
                tiers_after_change=tiers_after_change,
            )
        )

    def retire_price(
        self, plan: str, item: str, *, at: datetime | None = None, subject: str | None = None
    ) -> PlanPrice:
        """End a line of a plan, until it is defined again.

        Args:
            plan: The plan's key.
            item: The line's key within the plan.
            at: When; now unless given.
            subject: End this subject's own line, so that the plan's holds again.

        Returns:
            The version that ends it, or the one that had ended it before.

        Raises:
            NotFound: there is no such plan or line.
            InvalidInput: a value is not allowed.
            LockUnavailable: another session is changing prices.

        Example:
            meter.retire_price("pro", "tokens")
        """
        return self._run(calls.retire_price(plan, item, at=at, subject=subject))

    def plan_minimums(
        self, plan: str | None = None, *, at: datetime | None = None, upcoming: bool = False
    ) -> list[PlanMinimum]:
        """Return what a cycle of each plan costs at least at a moment.

        Args:
            plan: One plan's; all unless given.
            at: When; now unless given.
            upcoming: Also those that begin later.

        Returns:
            The minimums, by plan and time; a plan without one has none.

        Raises:
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed.

        Example:
            meter.plan_minimums("pro")
        """
        return self._run(calls.plan_minimums(plan, at=at, upcoming=upcoming))

    def prices(
        self,
        plan: str | None = None,
        *,
        at: datetime | None = None,
        subject: str | None = None,
        upcoming: bool = False,
    ) -> list[PlanPrice]:
        """Return the lines of plans that hold at a moment.

        Args:
            plan: One plan's; all unless given.
            at: When; now unless given.
            subject: With this subject's own lines instead of those that they replace.
            upcoming: Also the versions that begin later; one that ends the line has the price None.

        Returns:
            The lines, by plan, item and time.

        Raises:
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed.

        Example:
            meter.prices("pro")
        """
        return self._run(calls.prices(plan, at=at, subject=subject, upcoming=upcoming))

    def set_plan_minimum(
        self, plan: str, amount: Quantity | None, *, since: datetime | None = None
    ) -> PlanMinimum:
        """Set what a whole billing cycle of a plan costs at least.

        Args:
            plan: The plan's key.
            amount: In the plan's currency; None: nothing.
            since: From when; unless given, a first minimum holds from the beginning, a change from now.

        Returns:
            The minimum.

        Raises:
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed.
            LockUnavailable: another session is changing prices.

        Example:
            meter.set_plan_minimum("pro", 50)
        """
        return self._run(calls.set_plan_minimum(plan, amount, since=since))

    def invoice(
        self,
        subject: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        period: SubjectPeriod | str | None = None,
        now: datetime | None = None,
        as_of: datetime | None = None,
    ) -> list[InvoiceLine]:
        """Return what a subject owes for a window, line by line; nothing is stored.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            since: The window's start, included.
            until: The window's end, not included.
            period: ``cycle`` or a calendar word, the one that contains `now`; instead of a range. The
                running cycle if neither is given.
            now: The moment to ask about; the database's clock unless given.
            as_of: By what was known at this watermark.

        Returns:
            The lines, a total for each currency at the end.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: events that an amount depends on were dropped.
            LockUnavailable: `as_of` is after the last watermark.

        Example:
            [(line.name or line.item, line.amount) for line in meter.invoice("acct_1")]
        """
        return self._run(
            calls.invoice(subject, since=since, until=until, period=period, now=now, as_of=as_of)
        )

    def invoice_json(
        self,
        subject: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        period: SubjectPeriod | str | None = None,
        now: datetime | None = None,
        as_of: datetime | None = None,
    ) -> Invoice:
        """Return what `invoice` does as one document.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            since: The window's start, included.
            until: The window's end, not included.
            period: ``cycle`` or a calendar word, the one that contains `now`; instead of a range. The
                running cycle if neither is given.
            now: The moment to ask about; the database's clock unless given.
            as_of: By what was known at this watermark.

        Returns:
            The header, the lines and the totals.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: events that an amount depends on were dropped.
            LockUnavailable: `as_of` is after the last watermark.

        Example:
            meter.invoice_json("acct_1").totals["EUR"].amount
        """
        return self._run(
            calls.invoice_json(subject, since=since, until=until, period=period, now=now, as_of=as_of)
        )

    def grant_credit(
        self,
        subject: str,
        amount: Quantity,
        currency: str,
        idempotency_key: str,
        *,
        priority: int = 50,
        since: datetime | None = None,
        expires_at: datetime | None = None,
        source: CreditSource = "paid",
        reason: str | None = None,
    ) -> Credit:
        """Give a subject money that pays its next statements, before tax.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            amount: How much, with the decimals of the currency.
            currency: ISO 4217, such as ``EUR``; it pays for lines of this currency.
            idempotency_key: A repetition with the same key is the same credit and changes nothing.
            priority: Lower ones are drawn first; then the one that expires earlier, promotional before paid.
            since: It pays for periods that end after this; now unless given.
            expires_at: It pays for periods that end up to this; for ever unless given.
            source: ``paid`` or ``promotional``.
            reason: Why, for people.

        Returns:
            The credit.

        Raises:
            IdempotencyConflict: the key was used for another credit.
            InvalidInput: a value is not allowed.
            LockUnavailable: the subject's period is being closed.

        Example:
            meter.grant_credit("acct_1", 50, "EUR", "welcome", source="promotional")
        """
        return self._run(
            calls.grant_credit(
                subject,
                amount,
                currency,
                idempotency_key,
                priority=priority,
                since=since,
                expires_at=expires_at,
                source=source,
                reason=reason,
            )
        )

    def void_credit(self, credit_id: int, reason: str) -> Credit:
        """Take back what is left of a credit; statements that it has paid stay as they are.

        Args:
            credit_id: The credit's id.
            reason: Why, for people.

        Returns:
            The credit; one that is void already is returned unchanged.

        Raises:
            NotFound: there is no such credit.
            InvalidInput: a value is not allowed.
            LockUnavailable: the subject's period is being closed.

        Example:
            meter.void_credit(17, "granted twice")
        """
        return self._run(calls.void_credit(credit_id, reason))

    def credits(self, subject: str, *, at: datetime | None = None) -> list[Credit]:
        """Return the credits that would pay for a period that ends at a moment, in the order of drawing.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            at: When; now unless given.

        Returns:
            The credits, with what statements have drawn and what is left; void ones are left out.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            sum(credit.remaining for credit in meter.credits("acct_1") if credit.currency == "EUR")
        """
        return self._run(calls.credits(subject, at=at))

    def set_tax(
        self,
        subject: str,
        percent: Quantity | None,
        *,
        inclusive: bool = False,
        name: str = "tax",
        since: datetime | None = None,
    ) -> Tax:
        """Set a tax of a subject from a time on.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            percent: Of what is left to pay after credits; None: it is not due any more.
            inclusive: Prices contain it: it is shown, not added.
            name: What it is called on invoices; several names are several taxes.
            since: From when; unless given, a first version holds from the beginning, a change from now.

        Returns:
            The tax. Setting what holds already changes nothing.

        Raises:
            InvalidInput: a value is not allowed.
            LockUnavailable: the subject's period is being closed.

        Example:
            meter.set_tax("acct_1", 19, name="VAT")
        """
        return self._run(calls.set_tax(subject, percent, inclusive=inclusive, name=name, since=since))

    def taxes(self, subject: str, *, at: datetime | None = None) -> list[Tax]:
        """Return the taxes of a subject for a period that ends at a moment.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            at: When; now unless given.

        Returns:
            The taxes, by name.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [(tax.name, tax.percent) for tax in meter.taxes("acct_1")]
        """
        return self._run(calls.taxes(subject, at=at))

    def simulate(self, scenario: Mapping[str, Any]) -> Simulation:
        """Return the invoice of a scenario: usage, prices, minimums, credits and taxes; nothing is stored.

        Args:
            scenario: A JSON object; sql/simulate/README.md lists its fields. The ``.sim.json`` of
                StripeMeter is read, too.

        Returns:
            The lines, their sums, and for each value that the scenario expects, what was found.

        Raises:
            InvalidInput: the scenario is not allowed; the detail has the path in it.
            NotFound: there is no such plan.

        Example:
            meter.simulate({
                "prices": {"plan": "pro"}, "usage": [{"metric": "tokens", "quantity": 1500}],
                "expected": {"total": "3.00"},
            }).passed
        """
        return self._run(calls.simulate(scenario))

    def compare_plans(
        self,
        plan_a: str,
        plan_b: str,
        since: datetime,
        until: datetime,
        *,
        subjects: Sequence[str] | None = None,
    ) -> list[PlanComparison]:
        """Return what everybody's usage costs under two plans: who would pay more, who less, and in sum.

        Args:
            plan_a: The key of a plan.
            plan_b: The key of the other one.
            since: Usage from here on.
            until: Usage until here (exclusive).
            subjects: Of these only; unless given, of all who used what one of the plans has a price for, or
                had one of them.

        Returns:
            A row for each subject; last, with ``subject`` None, the sum of all.

        Raises:
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed.
            EventsDropped: the window begins or ends inside a bucket whose events were dropped.

        Example:
            meter.compare_plans("free", "pro", since, until)[-1].difference
        """
        return self._run(calls.compare_plans(plan_a, plan_b, since, until, subjects=subjects))

    def project_usage(
        self, subject: str, metric: str | None = None, *, now: datetime | None = None
    ) -> list[UsageProjection]:
        """Return how much a subject will have used at the end of its running billing cycle.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key; every metric in use unless given.
            now: The moment to ask about; only usage before it counts. The database's clock unless given.

        Returns:
            A row for each metric: low, expected and high, and by which method. They are None, with a
            reason, where nothing can be said, such as with less than 7 days of history.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            EventsDropped: events at an edge of the window were dropped.

        Example:
            meter.project_usage("acct_1", "tokens")[0].expected
        """
        return self._run(calls.project_usage(subject, metric, now=now))

    def project_invoice(self, subject: str, *, now: datetime | None = None) -> list[InvoiceProjection]:
        """Return what the invoice of the running billing cycle will say, line by line; nothing is stored.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            now: The moment to ask about; only usage before it counts. The database's clock unless given.

        Returns:
            The lines, a total for each currency at the end: the amounts so far, and at low, expected and
            high usage. They are None where the usage of a metric cannot be projected.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: events that an amount depends on were dropped.

        Example:
            [line.expected for line in meter.project_invoice("acct_1") if line.kind == "total"]
        """
        return self._run(calls.project_invoice(subject, now=now))

    def judge_projections(self, *, now: datetime | None = None, max_subjects: int = 1000) -> int:
        """Write ``threshold.projected`` for marks that the usage expected at the end of a period reaches.

        It looks at the limits that were set with `projected`. The next call goes on where this one ended.

        Args:
            now: The moment to judge; the database's clock unless given.
            max_subjects: How many at most, 10,000 at most; it ends earlier after about 3 seconds.

        Returns:
            How many marks fired.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: `now` lies in an hour whose events were dropped.

        Example:
            meter.judge_projections()
        """
        return self._run(calls.judge_projections(now=now, max_subjects=max_subjects))

    def focus_charges(
        self,
        since: datetime,
        until: datetime,
        *,
        subject: str | None = None,
        provider: str | None = None,
        service_category: str | None = None,
    ) -> list[FocusCharge]:
        """Return the charges of statements as rows of FOCUS 1.2.

        Args:
            since: Periods that end after this.
            until: Periods that end at this or before. Windows that tile return each statement once.
            subject: Only this subject's statements; everybody's unless given.
            provider: Your company: ProviderName, PublisherName and InvoiceIssuerName. 'pymeter' unless given.
            service_category: A ServiceCategory of the specification, for all rows; 'Other' unless given.

        Returns:
            The charges by end of period, statement and line. The list is in memory: read a year by months.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            sum(c.BilledCost for c in meter.focus_charges(june, july, provider="Acme"))
        """
        return self._run(
            calls.focus_charges(
                since, until, subject=subject, provider=provider, service_category=service_category
            )
        )

    def set_budget(
        self,
        amount: Quantity | None,
        currency: str,
        *,
        subject: str | None = None,
        plan: str | None = None,
        period: BudgetPeriod = "cycle",
        marks: Sequence[Quantity] | None = None,
        action: LimitAction = "alert",
        since: datetime | None = None,
        projected: bool = False,
    ) -> Budget:
        """Set how much money may be billed in a period: to a subject, to those with a plan, or to everyone.

        Of one currency and period, a subject's own budget counts before those of its plans, of which the
        strictest counts, and these before everyone's. `judge_budgets` compares it with invoices.

        Args:
            amount: How much, with the decimals of the currency; None: unlimited.
            currency: ISO 4217, such as ``EUR``.
            subject: Whose budget. Without subject and plan: everyone's.
            plan: The budget of every subject that has this plan.
            period: ``cycle``, the subject's billing cycle, or ``day``, ``week``, ``month``, ``year`` (UTC).
            marks: Percentages of the amount at which a notification is written; 80 and 100 unless given.
            action: When it is spent: ``block`` refuses events, ``alert`` notifies, ``none`` does neither.
            since: From when; now unless given.
            projected: Marks are compared with the total expected at the end of the cycle, too.

        Returns:
            The version of the budget. The same call again changes nothing.

        Raises:
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed.

        Example:
            meter.set_budget(100, "EUR", subject="acct_1", action="block")
        """
        return self._run(
            calls.set_budget(
                amount,
                currency,
                subject=subject,
                plan=plan,
                period=period,
                marks=marks,
                action=action,
                since=since,
                projected=projected,
            )
        )

    def remove_budget(
        self,
        currency: str,
        *,
        subject: str | None = None,
        plan: str | None = None,
        period: BudgetPeriod = "cycle",
    ) -> Budget:
        """End a budget now, and its versions that were to begin later.

        Args:
            currency: ISO 4217, such as ``EUR``.
            subject: Whose budget. Without subject and plan: everyone's.
            plan: The budget of every subject that has this plan.
            period: The budget's period.

        Returns:
            The version that ends it.

        Raises:
            NotFound: there is no such budget.
            InvalidInput: a value is not allowed.

        Example:
            meter.remove_budget("EUR", subject="acct_1")
        """
        return self._run(calls.remove_budget(currency, subject=subject, plan=plan, period=period))

    def budgets(
        self,
        *,
        subject: str | None = None,
        plan: str | None = None,
        at: datetime | None = None,
        max_rows: int = 1000,
        after_id: int | None = None,
    ) -> list[Budget]:
        """Return the budgets that hold now, or at a moment, in the order in which they were set.

        Args:
            subject: One subject's own budgets; all unless given.
            plan: One plan's budgets.
            at: When; now unless given.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``budget_id``, for the next page.

        Returns:
            A page of budgets.

        Raises:
            NotFound: there is no such plan.
            InvalidInput: a value is not allowed.

        Example:
            meter.budgets(plan="pro")
        """
        return self._run(
            calls.budgets(subject=subject, plan=plan, at=at, max_rows=max_rows, after_id=after_id)
        )

    def budget_status(self, subject: str, *, now: datetime | None = None) -> list[BudgetStatus]:
        """Return the budgets that count for a subject, and how much of each is spent.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            now: The moment whose periods are meant; now unless given.

        Returns:
            One row for each currency and period.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [(budget.spent, budget.amount, budget.currency) for budget in meter.budget_status("acct_1")]
        """
        return self._run(calls.budget_status(subject, now=now))

    def judge_budgets(self, *, now: datetime | None = None, max_subjects: int = 10000) -> BudgetRound:
        """Compare what subjects owe with their budgets: notify, block and release. For programs in a loop.

        Args:
            now: The moment of the judgement; now unless given. No subject is judged twice for one moment.
            max_subjects: How many at most; a call ends after about a second in any case.

        Returns:
            What was done; while ``remaining`` is above 0, call it again with ``judged_at`` as ``now``.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.judge_budgets().exceeded
        """
        return self._run(calls.judge_budgets(now=now, max_subjects=max_subjects))

    def define_endpoint(
        self,
        name: str,
        url: str | None,
        types: Sequence[str] | None = None,
        *,
        secret_name: str | None = None,
        format: EndpointFormat = "standard",
    ) -> Endpoint:
        """Define where notifications are sent, or change it.

        It is sent the notifications that are written from now on. Defining a disabled endpoint enables it.

        Args:
            name: Identifies the endpoint.
            url: An http, https or mailto URL; None for a Slack webhook whose URL is the secret.
            types: The types to send, such as ``threshold.exceeded``; ``*``: all but ``usage.recorded`` and
                ``usage.aggregated``, which are only written if an endpoint names them. None: those of the
                endpoint as it is; of a new one, ``*``.
            secret_name: The name of the environment variable, or file, that the sender reads the secret from.
                Never the secret itself. None: that of the endpoint as it is. An empty text: none.
            format: ``standard`` (Standard Webhooks), ``slack`` or ``email``.

        Returns:
            The endpoint.

        Raises:
            InvalidInput: a value is not allowed.
            LockUnavailable: another transaction that changes endpoints stays open.

        Example:
            meter.define_endpoint("ops", "https://example.com/hook", ["*"], secret_name="WEBHOOK_SECRET")
        """
        return self._run(calls.define_endpoint(name, url, types, secret_name=secret_name, format=format))

    def endpoints(self) -> list[EndpointStatus]:
        """Return the endpoints by name, with how many deliveries are open and dead.

        Returns:
            A row for each endpoint.

        Example:
            [endpoint.name for endpoint in meter.endpoints() if endpoint.dead_deliveries]
        """
        return self._run(calls.endpoints())

    def test_endpoint(self, name: str) -> Delivery:
        """Plan a notification of the type ``endpoint.test`` for one endpoint.

        Args:
            name: The endpoint's name.

        Returns:
            The delivery. `deliveries` shows later whether it has arrived.

        Raises:
            NotFound: there is no such endpoint.
            InvalidInput: the endpoint is disabled.
            LockUnavailable: another transaction that changes the endpoint stays open.

        Example:
            meter.test_endpoint("ops")
        """
        return self._run(calls.test_endpoint(name))

    def remove_endpoint(self, name: str) -> Endpoint:
        """Remove an endpoint with its deliveries.

        Args:
            name: The endpoint's name.

        Returns:
            What it was.

        Raises:
            NotFound: there is no such endpoint.
            LockUnavailable: another transaction that changes endpoints stays open.

        Example:
            meter.remove_endpoint("ops")
        """
        return self._run(calls.remove_endpoint(name))

    def deliveries(
        self,
        endpoint: str | None = None,
        state: DeliveryState | None = None,
        *,
        subject: str | None = None,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[Delivery]:
        """Return the deliveries, newest first.

        Args:
            endpoint: One endpoint's; all unless given.
            state: Those in this state, such as ``dead``.
            subject: One subject's.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``delivery_id``, for the next page.

        Returns:
            A page of deliveries.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.deliveries("ops", "dead")
        """
        return self._run(
            calls.deliveries(endpoint, state, subject=subject, max_rows=max_rows, after_id=after_id)
        )

    def retry_deliveries(
        self, endpoint: str | None = None, *, delivery_id: int | None = None, now: datetime | None = None
    ) -> int:
        """Send dead deliveries again, and at once those that wait for their next attempt.

        They keep their ``message_id``, and are sent before later ones of the same subject.

        Args:
            endpoint: One endpoint's; of all endpoints that are in use unless given.
            delivery_id: This one alone.
            now: From when; the database's clock unless given.

        Returns:
            How many.

        Raises:
            NotFound: there is no such endpoint.
            InvalidInput: the endpoint is disabled, or the delivery is unknown or has arrived.
            LockUnavailable: another transaction that changes endpoints stays open.

        Example:
            meter.retry_deliveries("ops")
        """
        return self._run(calls.retry_deliveries(endpoint, delivery_id=delivery_id, now=now))

    def plan_deliveries(self, max_notifications: int = 1000, *, now: datetime | None = None) -> int:
        """Plan deliveries of new notifications; a sender calls it until it returns 0.

        Args:
            max_notifications: How many notifications to look at, at most 10,000.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            How many notifications it looked at or wrote.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
            LockUnavailable: another transaction that changes endpoints stays open.

        Example:
            meter.plan_deliveries()
        """
        return self._run(calls.plan_deliveries(max_notifications, now=now))

    def claim_deliveries(
        self,
        worker: str,
        max_deliveries: int = 100,
        *,
        lease: timedelta | None = None,
        now: datetime | None = None,
    ) -> list[ClaimedDelivery]:
        """Claim deliveries to send now. Commit before sending.

        Of an endpoint and subject one is in flight at a time, of an endpoint at most 16.

        Args:
            worker: The caller's unique name.
            max_deliveries: How many at most, 10,000 at most.
            lease: For how long; two minutes unless given. Send nothing after ``leased_until``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The claimed deliveries.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
            LockUnavailable: another transaction that changes endpoints stays open.

        Example:
            meter.claim_deliveries("worker_1")
        """
        return self._run(calls.claim_deliveries(worker, max_deliveries, lease=lease, now=now))

    def settle_deliveries(
        self, worker: str, results: Iterable[Mapping[str, Any]], *, now: datetime | None = None
    ) -> list[SettledDelivery]:
        """Record the results of claimed deliveries. The next ones of the same subjects are then planned.

        Args:
            worker: The name under which they were claimed.
            results: A dict for each: ``delivery_id``, ``attempt``, ``outcome`` (``delivered``; ``failed``:
                sent again later; ``gone``: the endpoint is disabled; ``unsent``: due at once) and, if known,
                ``message_id``, ``status``, ``error`` and ``retry_after`` (seconds).
            now: The moment of the results; the database's clock unless given.

        Returns:
            The new states.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
            LockUnavailable: another transaction that changes endpoints stays open.

        Example:
            meter.settle_deliveries("worker_1", [{"delivery_id": 1, "attempt": 1, "outcome": "delivered"}])
        """
        return self._run(calls.settle_deliveries(worker, results, now=now))

    def release_deliveries(self, worker: str, *, now: datetime | None = None) -> int:
        """Return a worker's claimed, unsettled deliveries to the queue. They may have been sent already.

        Args:
            worker: The name under which they were claimed.
            now: From when they are due; the database's clock unless given.

        Returns:
            How many.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
            LockUnavailable: another transaction that changes endpoints stays open.

        Example:
            meter.release_deliveries("worker_1")
        """
        return self._run(calls.release_deliveries(worker, now=now))

    def set_spike_alert(
        self,
        metric: str,
        factor: Quantity,
        *,
        subject: str | None = None,
        within: timedelta | None = None,
        baseline: timedelta | None = None,
    ) -> SpikeAlert:
        """Set from which multiple of the usual usage on `judge_spikes` writes ``spike.detected``.

        Args:
            metric: The metric's key; a sum or count.
            factor: The multiple, above 1.
            subject: Whose usage; each subject's by itself unless given.
            within: The length of the windows that are compared; an hour unless given.
            baseline: How far back the usage is the usual one; 14 days unless given.

        Returns:
            The alert.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: it does not add up, or its rollups are longer than `within`.
            InvalidInput: a value is not allowed.

        Example:
            meter.set_spike_alert("tokens", 3)
        """
        return self._run(
            calls.set_spike_alert(metric, factor, subject=subject, within=within, baseline=baseline)
        )

    def spike_alerts(self) -> list[SpikeAlert]:
        """Return the alerts about spikes, by metric and subject.

        Returns:
            A row for each alert.

        Example:
            [alert.metric for alert in meter.spike_alerts()]
        """
        return self._run(calls.spike_alerts())

    def remove_spike_alert(
        self, metric: str, *, subject: str | None = None, within: timedelta | None = None
    ) -> SpikeAlert:
        """Remove an alert about spikes.

        Args:
            metric: The metric's key.
            subject: The alert's subject.
            within: The alert's windows; an hour unless given.

        Returns:
            What it was.

        Raises:
            UnknownMetric: the catalog has no such metric.
            NotFound: there is no such alert.

        Example:
            meter.remove_spike_alert("tokens")
        """
        return self._run(calls.remove_spike_alert(metric, subject=subject, within=within))

    def judge_spikes(self, *, now: datetime | None = None) -> int:
        """Compare usage with what is usual, and write ``spike.detected`` for what is far beyond it.

        Args:
            now: The moment to judge; the database's clock unless given.

        Returns:
            How many spikes were found.

        Raises:
            InvalidInput: `now` is not allowed.

        Example:
            meter.judge_spikes()
        """
        return self._run(calls.judge_spikes(now=now))

    def own_usage(
        self,
        subject: str,
        metric: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> UsageTotal:
        """Return what `usage` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The quantity; zero of zero events when there was none.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_usage("acct_1", "tokens", period="30 days").quantity
        """
        return self._run(
            calls.own_usage(
                subject, metric, period=period, since=since, until=until, timezone=timezone, now=now
            )
        )

    def own_summary(
        self,
        subject: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageTotal]:
        """Return what `summary` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            A line for each metric that is in use, zeros included, and for each retired one that has
            usage in the window.

        Raises:
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            for line in meter.own_summary("acct_1", period="month"):
                print(line.metric, line.quantity, line.unit)
        """
        return self._run(
            calls.own_summary(subject, period=period, since=since, until=until, timezone=timezone, now=now)
        )

    def own_series(
        self,
        subject: str,
        metric: str,
        since: datetime,
        until: datetime,
        *,
        step: CalendarStep | str = "day",
        timezone: str = "UTC",
    ) -> list[UsageBucket]:
        """Return what `series` does, for a role that was granted read on this subject alone.

        Without events a bucket is 0 for ``sum``, ``count`` and ``unique``, and None for the others,
        unless a ``last`` metric carries its value over.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            since: The first step's start.
            until: The end, not included.
            step: A calendar word (``minute hour day week month year``); ``cycle``, the subject's billing
                cycles; or a duration such as ``15m``, counted from `since`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.

        Returns:
            A row for each step, in order.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the range or the step is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
        """
        return self._run(calls.own_series(subject, metric, since, until, step=step, timezone=timezone))

    def own_usage_by(
        self,
        subject: str,
        metric: str,
        dimension: str,
        *,
        period: SubjectPeriod | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timezone: str = "UTC",
        now: datetime | None = None,
    ) -> list[UsageGroup]:
        """Return what `usage_by` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            dimension: The field's name.
            period: A calendar word (``minute hour day week month year never``), the bucket that
                contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
                time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
                Without a window: the metric's current period.
            since: The window's start, included. Instead of `period`.
            until: The window's end, not included. Instead of `period`.
            timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            A row for each value; ``None`` holds the events without the field.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
                word or zone.
            EventsDropped: events of the window were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_usage_by("acct_1", "tokens", "model", period="month")
        """
        return self._run(
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

    def own_events(
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
        """Return what `events` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: One metric's events; all unless given.
            since: The earliest time, included.
            until: The latest time, not included.
            after_id: The last row's ``event_id``, for the next page; `iter_events` does that.
            max_rows: The length of a page, at most 10,000.
            after_at: The last row's ``at``: optional, saves a look-up.

        Returns:
            A page of events.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_events("acct_1", "tokens", max_rows=10)
        """
        return self._run(
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

    def own_limits(self, subject: str, metric: str, *, at: datetime | None = None) -> list[EffectiveLimit]:
        """Return the limits that count, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            at: When; now unless given.

        Returns:
            A row for each limit, without those that are shadowed.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_limits("acct_1", "tokens")
        """
        return self._run(calls.own_limits(subject, metric, at=at))

    def own_check_quota(
        self, subject: str, metric: str, requested: Quantity | None = None, *, now: datetime | None = None
    ) -> QuotaStatus:
        """Check whether the limits have room, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            requested: How much more is wanted.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Whether it is allowed, and the limit that binds.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_check_quota("acct_1", "tokens", 5_000).allowed
        """
        return self._run(calls.own_check_quota(subject, metric, requested, now=now))

    def own_balance(self, subject: str, metric: str, *, at: datetime | None = None) -> Balance:
        """Return the balance of a subject, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key.
            at: When; now unless given.

        Returns:
            What `balance` returns.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the metric is no ``sum`` or ``count``.
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_balance("acct_1", "tokens").remaining
        """
        return self._run(calls.own_balance(subject, metric, at=at))

    def own_budget_status(self, subject: str, *, now: datetime | None = None) -> list[BudgetStatus]:
        """Return the budgets of a subject, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            now: The moment whose periods are meant; now unless given.

        Returns:
            What `budget_status` returns.

        Raises:
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [(budget.spent, budget.amount) for budget in meter.own_budget_status("acct_1")]
        """
        return self._run(calls.own_budget_status(subject, now=now))

    def own_credits(self, subject: str, *, at: datetime | None = None) -> list[Credit]:
        """Return the credits of a subject, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            at: When; now unless given.

        Returns:
            What `credits` returns.

        Raises:
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [(credit.remaining, credit.currency) for credit in meter.own_credits("acct_1")]
        """
        return self._run(calls.own_credits(subject, at=at))

    def own_invoice(
        self,
        subject: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        period: SubjectPeriod | str | None = None,
        now: datetime | None = None,
    ) -> list[InvoiceLine]:
        """Return what `invoice` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            since: The window's start, included.
            until: The window's end, not included.
            period: ``cycle`` or a calendar word, the one that contains `now`; instead of a range. The
                running cycle if neither is given.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The lines, a total for each currency at the end.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: events that an amount depends on were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_invoice("acct_1", period="cycle")
        """
        return self._run(calls.own_invoice(subject, since=since, until=until, period=period, now=now))

    def own_project_usage(
        self, subject: str, metric: str | None = None, *, now: datetime | None = None
    ) -> list[UsageProjection]:
        """Return what `project_usage` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            metric: The metric's key; every metric in use unless given.
            now: The moment to ask about; only usage before it counts. The database's clock unless given.

        Returns:
            A row for each metric: low, expected and high, and by which method. They are None, with a
            reason, where nothing can be said, such as with less than 7 days of history.

        Raises:
            UnknownMetric: the catalog has no such metric.
            InvalidInput: a value is not allowed.
            EventsDropped: events at an edge of the window were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            meter.own_project_usage("acct_1", "tokens")[0].expected
        """
        return self._run(calls.own_project_usage(subject, metric, now=now))

    def own_project_invoice(self, subject: str, *, now: datetime | None = None) -> list[InvoiceProjection]:
        """Return what `project_invoice` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            now: The moment to ask about; only usage before it counts. The database's clock unless given.

        Returns:
            The lines, a total for each currency at the end: the amounts so far, and at low, expected and
            high usage. They are None where the usage of a metric cannot be projected.

        Raises:
            InvalidInput: a value is not allowed.
            EventsDropped: events that an amount depends on were dropped.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [line.expected for line in meter.own_project_invoice("acct_1") if line.kind == "total"]
        """
        return self._run(calls.own_project_invoice(subject, now=now))

    def own_statements(
        self,
        subject: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[StatementHeader]:
        """Return what `statements` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            since: Only periods that end after this.
            until: Only periods that begin before this.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``statement_id``, for the next page.

        Returns:
            A page of headers, the one that was closed last first.

        Raises:
            InvalidInput: a value is not allowed.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [header.totals for header in meter.own_statements("acct_1")]
        """
        return self._run(
            calls.own_statements(subject, since=since, until=until, max_rows=max_rows, after_id=after_id)
        )

    def own_statement(self, subject: str, statement_id: int) -> list[StatementLine]:
        """Return what `statement` does, for a role that was granted read on this subject alone.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            statement_id: The statement, of `own_statements`.

        Returns:
            The lines, in their order.

        Raises:
            NotFound: there is no such statement, or it is another subject's.
            psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

        Example:
            [line.amount for line in meter.own_statement("acct_1", 7)]
        """
        return self._run(calls.own_statement(subject, statement_id))

    def rebuild(self, subject: str | None = None, metric: str | None = None) -> int:
        """Recompute rollups from the log, while others record.

        Args:
            subject: One subject's; all unless given.
            metric: One metric's; all unless given.

        Returns:
            How many rollup rows had to be corrected.

        Raises:
            UnknownMetric: the catalog has no such metric.

        Example:
            meter.rebuild("acct_1")
        """
        return self._run(calls.rebuild(subject, metric))

    def verify(self, subject: str | None = None, metric: str | None = None) -> list[Drift]:
        """Recompute rollups from the log and return what differs.

        Args:
            subject: One subject's; all unless given.
            metric: One metric's; all unless given.

        Returns:
            A row for each difference: an empty list means no drift.

        Raises:
            UnknownMetric: the catalog has no such metric.

        Example:
            assert meter.verify() == []
        """
        return self._run(calls.verify(subject, metric))

    def maintain(
        self, keep: str | timedelta | None = None, *, detach: bool = False
    ) -> list[MaintenanceAction]:
        """Create partitions ahead, move events out of the default one, merge stripes. Idempotent: for cron.

        Call it in a READ COMMITTED transaction of its own.

        Args:
            keep: Drop the events of all months (UTC) that ended this long ago, once they are verified:
                a timedelta, or an interval with its unit (``13 months``). Rollups, members and
                idempotency keys stay.
            detach: Keep dropped months as tables outside of the log, to be archived.

        Returns:
            A row for each thing done. An action that begins with ``kept`` names a month that was not
            dropped, and why.

        Raises:
            InvalidInput: `keep` is negative, shorter than a day or no interval.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.maintain(keep="13 months")
        """
        return self._run(calls.maintain(keep, detach=detach))

    def health(self, now: datetime | None = None) -> Health:
        """Return the state of the meter in one row, for a monitor to poll.

        Args:
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Whether it is healthy, and what is not.

        Example:
            assert meter.health().healthy
        """
        return self._run(calls.health(now))

    def operational_metrics(self, now: datetime | None = None) -> list[OperationalMetric]:
        """Return the numbers that a monitor such as Prometheus polls. The cost is bounded.

        `pymeter.operate.exposition` makes the text of Prometheus of them.

        Args:
            now: The moment to ask about; the database's clock unless given.

        Returns:
            A row for each number, those with one name together. What is unknown has no row.

        Example:
            meter.operational_metrics()
        """
        return self._run(calls.operational_metrics(now))

    def check_drift(self) -> int:
        """Verify all rollups and statements, and note the number of differences for `operational_metrics`.

        It reads the whole log: for a weekly job. `verify` and `verify_statements` list the differences.

        Returns:
            How many rows differ.

        Raises:
            MeterError: (40001) events were moved meanwhile; call it again.

        Example:
            assert meter.check_drift() == 0
        """
        return self._run(calls.check_drift())

    def shard_slot(self, shard_key: str) -> int:
        """Return the slot of a shard key, 0 to 1023; a map of shards says which shard has the slot.

        `pymeter.scale.slot_of` computes the same without a database.

        Args:
            shard_key: The subject.

        Returns:
            The first two bytes of the SHA-256 of the key, as a number, modulo 1024.

        Raises:
            InvalidInput: the key is blank or too long.

        Example:
            meter.shard_slot("acct_1")
        """
        return self._run(calls.shard_slot(shard_key))

    def shard_state(self) -> ShardState:
        """Return which shard this meter is.

        Returns:
            Its number, or None for a meter of its own; the highest id that it has drawn; and sequences whose
            next ids would not be those of the shard.

        Example:
            meter.shard_state().number
        """
        return self._run(calls.shard_state())

    def set_shard(self, number: int, *, ids_above: int = 0, slots: str | None = None) -> ShardState:
        """Make this meter one of up to 1,024 shards, for ever: its ids become unique across all of them.

        Args:
            number: The number of the shard, 0 to 1023.
            ids_above: 0 for shards that all begin empty; or the highest id of the one meter that has ids
                already, the same for all shards.
            slots: The digest of the slots of its map, by which a client with another map is refused:
                `pymeter.scale.join` passes it.

        Returns:
            The state of the shard.

        Raises:
            InvalidInput: a value is not allowed.
            NotReady: the meter is another shard already, has ids above `ids_above`, or is of another map.
            LockUnavailable: (55P03) transactions that have drawn ids did not end within 5 seconds.

        Example:
            meter.set_shard(3, ids_above=1_000_000)
        """
        return self._run(calls.set_shard(number, ids_above=ids_above, slots=slots))

    def moves(self) -> list[Move]:
        """List the subjects that are not at home here, or are about to leave.

        Returns:
            One row for each: `closing` while it is being moved to another shard, `moved` when it is there,
            `arriving` while it is being moved here.

        Example:
            [move.subject for move in meter.moves()]
        """
        return self._run(calls.moves())

    def close_home(
        self, subject: str, target: str, *, wait: timedelta | str | None = None, run: UUID | str | None = None
    ) -> Move:
        """Begin the closed time of a move: nothing is written for the subject until it is reopened.

        Args:
            subject: Whom the usage belongs to.
            target: The name of the shard that it moves to.
            wait: How long it waits for transactions that have written for the subject, at most a minute; 5
                seconds unless given.
            run: The run of the program that moves it; an earlier one can change nothing then.

        Returns:
            The state of the move.

        Raises:
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that have written for the subject are still open; it is not closed.
            NotReady: the subject is not at home here, or is moving to another shard.

        Example:
            meter.close_home("acct_1", "s2").state
        """
        return self._run(calls.close_home(subject, target, wait=wait, run=run))

    def reopen_home(self, subject: str, *, run: UUID | str | None = None) -> bool:
        """Give up a move: what is written for the subject goes on here.

        Args:
            subject: Whom the usage belongs to.
            run: If it is given, only that run may do it.

        Returns:
            Whether it was closed.

        Raises:
            InvalidInput: a value is not allowed.
            NotReady: the subject has moved or is arriving, or another run moves it.

        Example:
            meter.reopen_home("acct_1")
        """
        return self._run(calls.reopen_home(subject, run=run))

    def leave_home(self, subject: str, *, run: UUID | str | None = None) -> Move:
        """End a move at the shard that the subject leaves; what is here is an old copy then.

        Args:
            subject: Whom the usage belongs to.
            run: If it is given, only that run may do it.

        Returns:
            The state of the move.

        Raises:
            InvalidInput: a value is not allowed.
            NotReady: the subject is not closed, or another run moves it.

        Example:
            meter.leave_home("acct_1").state
        """
        return self._run(calls.leave_home(subject, run=run))

    def expect_subject(self, subject: str, source: str, *, run: UUID | str | None = None) -> Move:
        """Begin a move at the shard that the subject comes to.

        Args:
            subject: Whom the usage belongs to.
            source: The name of the shard where it is at home.
            run: The run of the program that moves it; an earlier one can change nothing then.

        Returns:
            The state of the move.

        Raises:
            InvalidInput: a value is not allowed.
            LockUnavailable: transactions that have written for the subject are still open.
            NotReady: the subject is at home here.

        Example:
            meter.expect_subject("acct_1", "s1").state
        """
        return self._run(calls.expect_subject(subject, source, run=run))

    def admit_subject(self, subject: str, *, run: UUID | str | None = None) -> bool:
        """End a move at the shard that the subject has come to: it is at home there.

        Args:
            subject: Whom the usage belongs to.
            run: If it is given, only that run may do it.

        Returns:
            Whether it was arriving.

        Raises:
            InvalidInput: a value is not allowed.
            NotReady: the subject is closing or has moved, or another run moves it.

        Example:
            meter.admit_subject("acct_1")
        """
        return self._run(calls.admit_subject(subject, run=run))

    def archive_rows(self, month: datetime) -> list[ArchiveRow]:
        """Return the rows of a month of the log, as a file holds them, in the order of event_id.

        Args:
            month: Any instant of it (UTC).

        Returns:
            All of them: `pymeter archive export` reads them in batches instead.

        Raises:
            InvalidInput: the month has not ended.
            MeterError: (UM007) it has no partition of the log.

        Example:
            meter.archive_rows(datetime(2026, 1, 1, tzinfo=UTC))
        """
        return self._run(calls.archive_rows(month))

    def archive_month(
        self,
        month: datetime,
        file_name: str,
        file_hash: str,
        event_count: int,
        digest: str,
        *,
        detach: bool = False,
    ) -> Archive:
        """Remove a month from the log that a file holds, after comparing the two.

        Args:
            month: Any instant of it (UTC).
            file_name: Without its directory.
            file_hash: Of its bytes, in hexadecimal.
            event_count: How many rows it holds.
            digest: Of its rows.
            detach: Keep the rows as a table outside of the log.

        Returns:
            The archive.

        Raises:
            MeterError: (55000) the log and the file differ, or the month is needed; nothing was changed.

        Example:
            meter.archive_month(month, path.name, sha256, rows, digest)
        """
        return self._run(calls.archive_month(month, file_name, file_hash, event_count, digest, detach=detach))

    def archives(self, max_rows: int = 100, *, after_id: int | None = None) -> list[Archive]:
        """Return the months that were archived, the latest first.

        Args:
            max_rows: At most this many, 1 to 10,000.
            after_id: The archive_id of the last row of the page before.

        Returns:
            A row for each; `restored_at` is None while a month is only in its file.

        Example:
            meter.archives()
        """
        return self._run(calls.archives(max_rows, after_id=after_id))

    def stage_archive(self, archive_id: int, rows: Iterable[Mapping[str, Any]]) -> int:
        """Pass rows of a file to `restore_archive`, in the same transaction.

        Args:
            archive_id: The archive.
            rows: With the fields of ArchiveRow; quantity and metadata as texts.

        Returns:
            How many they were.

        Raises:
            InvalidInput: a row is not one of an archive.

        Example:
            meter.stage_archive(1, rows)
        """
        return self._run(calls.stage_archive(archive_id, rows))

    def restore_archive(self, archive_id: int) -> Archive:
        """Put the rows that were staged in this transaction back into the log.

        Args:
            archive_id: The archive.

        Returns:
            The archive. One that is restored already changes nothing.

        Raises:
            InvalidInput: the rows are not those of the archive.
            MeterError: (55000) a subject of it was erased since.

        Example:
            meter.restore_archive(1)
        """
        return self._run(calls.restore_archive(archive_id))

    def grant_access(self, role: str, level: Level, subject: str | None = None) -> None:
        """Let a database role call exactly the functions of a level; it gets no right on any table.

        Only the owner of the meter may do this.

        Args:
            role: The role's name.
            level: ``read``, ``write``, ``report``, ``admin`` or ``approve``; a role may have several. Or
                ``login`` or ``own``, for the roles of a server of the HTTP API.
            subject: With level ``read``: the role reads this subject alone, through `for_subject`.

        Raises:
            InvalidInput: the role or level is unknown, or the role would be both bound to subjects and
                not.

        Example:
            meter.grant_access("app", "write")
        """
        return self._run(calls.grant_access(role, level, subject))

    def revoke_access(self, role: str, level: Level | None = None, subject: str | None = None) -> None:
        """Take rights on the meter from a database role.

        Only the owner of the meter may do this.

        Args:
            role: The role's name.
            level: One level's rights; every right unless given.
            subject: One subject's.

        Raises:
            InvalidInput: the role or level is unknown.

        Example:
            meter.revoke_access("app")
        """
        return self._run(calls.revoke_access(role, level, subject))

    def create_api_key(
        self,
        level: KeyLevel,
        *,
        subject: str | None = None,
        expires_at: datetime | None = None,
        name: str | None = None,
    ) -> NewApiKey:
        """Create a key for a program that speaks HTTP.

        Only the owner of the meter may do this.

        Args:
            level: ``read``, ``write``, ``report``, ``admin`` or ``approve``.
            subject: With level ``read``: the key reads this subject alone.
            expires_at: From when it is refused; never unless given.
            name: A label for people.

        Returns:
            The key. It is returned only once: the database stores a digest.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.create_api_key("write", name="worker").key
        """
        return self._run(calls.create_api_key(level, subject=subject, expires_at=expires_at, name=name))

    def revoke_api_key(self, key_id: int) -> ApiKey:
        """Revoke a key, and the tokens that were signed with it. Again: nothing changes.

        Args:
            key_id: The key's number, from `api_keys`.

        Returns:
            The key, without the key itself.

        Raises:
            NotFound: there is no such key.

        Example:
            meter.revoke_api_key(7).revoked_at
        """
        return self._run(calls.revoke_api_key(key_id))

    def api_keys(self) -> list[ApiKey]:
        """Return all keys, including expired and revoked ones, without the keys themselves.

        Returns:
            A row for each key, in the order of their numbers.

        Example:
            [key.name for key in meter.api_keys() if key.last_used_at is None]
        """
        return self._run(calls.api_keys())

    def authenticate(self, credential: str) -> Authentication:
        """Return the holder of a key or token, and the role to take for the transaction.

        For a server that logs in with the level ``login``, takes the role with SET LOCAL ROLE and then
        makes the calls of the request.

        Args:
            credential: The SHA-256 of a key, hexadecimal, or a signed token.

        Returns:
            Who it is, with which level and role.

        Raises:
            CredentialRefused: it is unknown, was revoked or has expired.

        Example:
            meter.authenticate(hashlib.sha256(key.encode()).hexdigest()).role
        """
        return self._run(calls.authenticate(credential))

    def define_biller(
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
        sends: Literal["usage", "statements"] | None = None,
        statements_since: datetime | None = None,
    ) -> Biller:
        """Create or update a biller's reporting policy. What is None stays as it is.

        Args:
            biller: The biller's name.
            subject_is_customer: Whether a subject that is not mapped is its own customer.
            dedup_window: How long the biller recognises an identifier.
            dedup_margin: How long before its end a push is not sent again.
            absence: How long a push has to be missing from the biller's totals before it is sent under
                a new identifier.
            max_age: How old usage the biller takes.
            max_ahead: How far in the future.
            grace: How long after a period's end its invoice takes usage.
            max_digits: How many significant digits a value may have.
            too_old: What happens to usage older than `max_age`: ``hold``, ``restamp`` with the present
                time, ``leave``.
            negative: What happens to values below zero: ``hold``, ``send``, ``leave``.
            late: What happens after `grace`: ``send``, ``restamp``, ``hold``.
            sends: ``usage``, or ``statements``: each line of a statement that is closed from now on
                becomes an invoice item.
            statements_since: Statements of periods that begin earlier are not sent; those of later ones
                are, also if they have been closed already.

        Returns:
            The policy as it is now.

        Raises:
            InvalidInput: a setting is not allowed.
            MetricForbids: what it sends would change while it is in use.

        Example:
            meter.define_biller(too_old="restamp", grace=timedelta(hours=72))
        """
        return self._run(
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
                sends=sends,
                statements_since=statements_since,
            )
        )

    def report_metric(
        self,
        metric: str,
        event_name: str | None,
        mode: ReportMode | None = None,
        biller: str = "stripe",
        *,
        since: datetime | None = None,
    ) -> MetricMapping:
        """Report a metric to a biller under this name; None ends it. Repeating it changes nothing.

        Usage that is there already is queued.

        Args:
            metric: The metric's key.
            event_name: The biller's name of the meter.
            mode: ``delta`` (what a bucket has gained since the last plan), ``event`` (every event by
                itself) or ``last`` (the period's present value). None keeps it as it is; ``delta`` for
                a new mapping.
            biller: The biller's name.
            since: Only buckets that begin at this time or later; all unless given.

        Returns:
            The mapping as it is now.

        Raises:
            UnknownMetric: the catalog has no such metric.
            MetricForbids: the mode would report wrong totals.
            InvalidInput: a value is not allowed.

        Example:
            meter.report_metric("tokens", "api_tokens")
        """
        return self._run(calls.report_metric(metric, event_name, mode, biller, since=since))

    def report_subject(self, subject: str, customer: str | None, biller: str = "stripe") -> SubjectMapping:
        """Map a subject to a biller's customer; None ends it. Repeating it changes nothing.

        Usage that was never reported is queued. What has been planned stays with the customer that it
        was planned for.

        Args:
            subject: Who consumes: an account, an organisation, an API key.
            customer: The biller's customer.
            biller: The biller's name.

        Returns:
            The mapping as it is now.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.report_subject("acct_1", "cus_42")
        """
        return self._run(calls.report_subject(subject, customer, biller))

    def billers(self) -> list[Biller]:
        """Return the billers, each with its reporting policy.

        Returns:
            A row for each biller, by name.

        Example:
            [biller.sends for biller in meter.billers()]
        """
        return self._run(calls.billers())

    def report_mappings(self, biller: str = "stripe") -> list[MetricMapping]:
        """Return the metrics that are reported to a biller.

        Args:
            biller: The biller's name.

        Returns:
            A row for each metric.

        Example:
            [mapping.event_name for mapping in meter.report_mappings()]
        """
        return self._run(calls.report_mappings(biller))

    def customer_subjects(self, customer: str, biller: str = "stripe") -> list[SubjectMapping]:
        """Return the subjects whose usage is reported as that of one customer of a biller.

        Args:
            customer: The biller's customer.
            biller: The biller's name.

        Returns:
            A row for each subject, by subject.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            [mapping.subject for mapping in meter.customer_subjects("cus_42")]
        """
        return self._run(calls.customer_subjects(customer, biller))

    def plan_pushes(
        self,
        biller: str = "stripe",
        open_hours: bool = True,
        max_rows: int = 10000,
        *,
        now: datetime | None = None,
    ) -> int:
        """Plan pushes for usage that has not been reported.

        Call it until it returns 0, each time in a transaction of its own.

        Args:
            biller: The biller's name.
            open_hours: Whether to plan the hour that is still open, too.
            max_rows: How many rows of the queue to look at.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            How many rows of the queue it looked at.

        Raises:
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            while meter.plan_pushes():
                pass
        """
        return self._run(calls.plan_pushes(biller, open_hours, max_rows, now=now))

    def preview_pushes(
        self, biller: str = "stripe", open_hours: bool = True, *, now: datetime | None = None
    ) -> list[PlannedPush]:
        """Return what `plan_pushes` would plan, and plan nothing.

        Args:
            biller: The biller's name.
            open_hours: Whether to plan the hour that is still open, too.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The pushes.

        Example:
            for push in meter.preview_pushes():
                print(push.customer, push.event_name, push.value)
        """
        return self._run(calls.preview_pushes(biller, open_hours, now=now))

    def claim_pushes(
        self,
        biller: str,
        worker: str,
        max_pushes: int = 100,
        *,
        lease: timedelta | None = None,
        now: datetime | None = None,
    ) -> list[ClaimedPush]:
        """Claim pushes to send now.

        No other worker gets them, nor others of their customer and event name. Send those of one
        customer and event name one after another. Commit before sending: that a push is being sent has
        to survive a crash.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            max_pushes: How many at most.
            lease: For how long; two minutes unless given. Send nothing after ``leased_until``.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The claimed pushes, the most urgent first.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.claim_pushes("stripe", "worker_1")
        """
        return self._run(calls.claim_pushes(biller, worker, max_pushes, lease=lease, now=now))

    def confirm_push(
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

        Call it right before each send, and send only on True: the clocks of a suspended machine stand
        still.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            identifier: The push's identifier.
            attempt: The attempt, as `claim_pushes` returned it.
            margin: How much longer the lease has to last: the longest time that one call to the biller
                takes.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Whether to send.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            if meter.confirm_push("stripe", "worker_1", push.identifier, push.attempt):
                send(push)
        """
        return self._run(calls.confirm_push(biller, worker, identifier, attempt, margin=margin, now=now))

    def settle_pushes(
        self, biller: str, worker: str, results: Iterable[Mapping[str, Any]], *, now: datetime | None = None
    ) -> list[SettledPush]:
        """Settle claimed pushes: say what the biller answered.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            results: For each push its ``push_id``, ``attempt`` and ``outcome``, optionally
                ``identifier`` (then it counts only for a push of that identifier), ``error`` and
                ``retry_after`` (seconds). Outcomes: ``delivered``; ``rejected`` (refused for good);
                ``unknown`` (perhaps counted: sent again under the same identifier while the biller
                recognises it); ``not_applied`` (certainly not counted: sent again later).
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The state of each push.

        Raises:
            InvalidInput: a result is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.settle_pushes("stripe", "worker_1", [{"push_id": 7, "attempt": 1, "outcome": "delivered"}])
        """
        return self._run(calls.settle_pushes(biller, worker, results, now=now))

    def release_pushes(self, biller: str, worker: str, *, now: datetime | None = None) -> int:
        """Release what a worker has claimed and not settled.

        They may have been sent, so they are sent again under the same identifier. Settle as
        ``not_applied`` what was certainly not sent.

        Args:
            biller: The biller's name.
            worker: The caller's unique name.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            How many pushes.

        Example:
            meter.release_pushes("stripe", "worker_1")
        """
        return self._run(calls.release_pushes(biller, worker, now=now))

    def uncertain_hours(
        self, biller: str = "stripe", max_rows: int = 100, *, now: datetime | None = None
    ) -> list[UncertainHour]:
        """Return hours with uncertain pushes: ask the biller for their totals, and call `settle_hour`.

        Args:
            biller: The biller's name.
            max_rows: The length of a page, at most 10,000.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The hours, the most urgent first.

        Example:
            for hour in meter.uncertain_hours():
                print(hour.customer, hour.hour, hour.uncertain_total)
        """
        return self._run(calls.uncertain_hours(biller, max_rows, now=now))

    def settle_hour(
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
        identifiers: Sequence[str] | None = None,
    ) -> SettledHour:
        """Resolve the uncertain pushes of an hour by the biller's total for it.

        What is missing from the total is planned anew only when it is still missing after the policy's
        ``absence``.

        Args:
            biller: The biller's name.
            customer: The biller's customer.
            event_name: The biller's name of the meter.
            hour: The hour, as `uncertain_hours` returned it.
            total: The biller's total of that hour.
            delivered_total: As `uncertain_hours` returned it: if it has changed since, nothing is
                decided.
            now: The moment to ask about; the database's clock unless given.
            counting_since: When the biller began to count under this name: what was sent earlier is in
                no total.
            identifiers: Those that the biller has, if it lists them: they decide instead of the total.

        Returns:
            The verdict.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.settle_hour("stripe", "cus_42", "api_tokens", hour, Decimal(120)).verdict
        """
        return self._run(
            calls.settle_hour(
                biller,
                customer,
                event_name,
                hour,
                total,
                delivered_total=delivered_total,
                now=now,
                counting_since=counting_since,
                identifiers=identifiers,
            )
        )

    def resolve_push(self, identifier: str, delivered: bool, *, now: datetime | None = None) -> Push:
        """Manually resolve an uncertain push.

        Args:
            identifier: The push's identifier.
            delivered: True: the biller has it. False: it has not, and another push replaces it.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The push as it is now.

        Raises:
            InvalidInput: the identifier is unknown, or the push is not uncertain.

        Example:
            meter.resolve_push("pm_0c8e...", delivered=True)
        """
        return self._run(calls.resolve_push(identifier, delivered, now=now))

    def retry_pushes(
        self, biller: str = "stripe", identifier: str | None = None, *, now: datetime | None = None
    ) -> list[Push]:
        """Plan rejected or held pushes anew, all or one.

        The new ones have identifiers of their own, and go to the customers and event names of the
        present mappings. It overrides the hold: a negative value is sent, what is too old or late gets
        the present time.

        Args:
            biller: The biller's name.
            identifier: One push; all unless given.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The new pushes.

        Raises:
            InvalidInput: the identifier is unknown.

        Example:
            meter.retry_pushes()
        """
        return self._run(calls.retry_pushes(biller, identifier, now=now))

    def leave_pushes(
        self,
        biller: str = "stripe",
        identifier: str | None = None,
        reason: str | None = None,
        *,
        now: datetime | None = None,
    ) -> list[Push]:
        """Decide that rejected or held pushes are not sent: one, or all with a reason.

        They become ``left``, which `report_status` counts.

        Args:
            biller: The biller's name.
            identifier: One push.
            reason: All pushes that are held or rejected for this reason.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The pushes as they are now.

        Raises:
            InvalidInput: neither `identifier` nor `reason` is given, or the identifier is unknown.

        Example:
            meter.leave_pushes(reason="too_old")
        """
        return self._run(calls.leave_pushes(biller, identifier, reason, now=now))

    def fail_pushes(
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
        """Apply a biller's asynchronous error report, once per `event_id`.

        Args:
            biller: The biller's name.
            event_id: The biller's id of the report.
            identifiers: The pushes that it names: they become rejected.
            code: The biller's error code.
            event_name: What else was delivered under this name between `since` and `until` is to be
                reconciled first.
            since: The start of the time that the report is about.
            until: Its end.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            How many pushes were rejected.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        Example:
            meter.fail_pushes("stripe", "evt_1", ["pm_0c8e..."], "meter_event_invalid_value")
        """
        return self._run(
            calls.fail_pushes(
                biller, event_id, identifiers, code, event_name=event_name, since=since, until=until, now=now
            )
        )

    def reconcilable_ranges(
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

        Args:
            biller: The biller's name.
            step: ``hour`` or ``day``.
            max_rows: The length of a page, at most 10,000.
            since: The earliest range.
            until: The latest range.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The ranges, with what was delivered in each.

        Example:
            for day in meter.reconcilable_ranges():
                print(day.customer, day.range_start, day.local)
        """
        return self._run(calls.reconcilable_ranges(biller, step, max_rows, since=since, until=until, now=now))

    def reconcile_range(
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
        """Compare the biller's total of an hour or day with what was delivered, and keep the result.

        Args:
            biller: The biller's name.
            customer: The biller's customer.
            event_name: The biller's name of the meter.
            range_start: The range's first instant.
            step: ``hour`` or ``day``.
            total: The biller's total.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            The comparison.

        Raises:
            InvalidInput: a value is not allowed.

        Example:
            meter.reconcile_range("stripe", "cus_42", "api_tokens", midnight, "day", Decimal(120)).difference
        """
        return self._run(
            calls.reconcile_range(biller, customer, event_name, range_start, step, total, now=now)
        )

    def reconciliation(self, biller: str = "stripe") -> list[Reconciliation]:
        """Return the comparisons that found a difference, the largest first.

        Args:
            biller: The biller's name.

        Returns:
            The comparisons.

        Example:
            assert meter.reconciliation() == []
        """
        return self._run(calls.reconciliation(biller))

    def report_status(self, biller: str = "stripe") -> list[PushStatus]:
        """Return how much usage is in each state of reporting, zeros included.

        Args:
            biller: The biller's name.

        Returns:
            A row for each metric and state. ``unplanned`` waits to be planned; ``unmapped`` has no
            customer.

        Example:
            {(row.metric, row.state): row.pushes for row in meter.report_status()}
        """
        return self._run(calls.report_status(biller))

    def report_journal(self, biller: str = "stripe") -> ReportJournal:
        """Return where a biller's journal lives, and whether reporting is stopped because it was restored.

        Args:
            biller: The biller's name.

        Returns:
            The journal's server and state.

        Example:
            meter.report_journal().stopped
        """
        return self._run(calls.report_journal(biller))

    def adopt_journal(
        self,
        biller: str = "stripe",
        complete: bool = False,
        *,
        force: bool = False,
        now: datetime | None = None,
    ) -> ReportJournal:
        """Go on with a journal that was restored, copied or failed over, on this server.

        Stop the other server's reporters first: reporting from two journals reports twice. Usage that
        this journal may not know the sending of is looked up in the biller's totals before it is sent.

        Args:
            biller: The biller's name.
            complete: True: the journal has lost nothing, as after a planned switchover.
            force: True: adopt it although it is not stopped, such as in a snapshot of a whole machine.
            now: The moment to ask about; the database's clock unless given.

        Returns:
            Where the journal lives now.

        Raises:
            InvalidInput: a value is not allowed.
            MeterError: (55000) the journal is not stopped, and `force` is false; (25001) in a REPEATABLE READ
                or SERIALIZABLE transaction.

        Example:
            meter.adopt_journal()
        """
        return self._run(calls.adopt_journal(biller, complete, force=force, now=now))

    def pushes(
        self,
        biller: str = "stripe",
        state: PushState | None = None,
        subject: str | None = None,
        *,
        max_rows: int = 100,
        after_id: int | None = None,
    ) -> list[Push]:
        """Return a page of the journal, newest first.

        Args:
            biller: The biller's name.
            state: Pushes in this state; all unless given.
            subject: One subject's pushes; all unless given.
            max_rows: The length of a page, at most 10,000.
            after_id: The last row's ``push_id``, for the next page.

        Returns:
            A page of pushes.

        Example:
            for push in meter.pushes(state="rejected"):
                print(push.identifier, push.error)
        """
        return self._run(calls.pushes(biller, state, subject, max_rows=max_rows, after_id=after_id))
