"""Reporting usage to a biller: sql/report/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import (
    Biller,
    ClaimedPush,
    MetricMapping,
    PlannedPush,
    Push,
    PushState,
    PushStatus,
    Quantity,
    ReconcilableRange,
    Reconciliation,
    ReportJournal,
    ReportMode,
    ReportStep,
    SettledHour,
    SettledPush,
    SubjectMapping,
    UncertainHour,
)


def define_biller(
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
) -> Call[Biller]:
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

    Returns:
        The policy as it is now.

    Raises:
        InvalidInput: a setting is not allowed.

    Example:
        meter.define_biller(too_old="restamp", grace=timedelta(hours=72))
    """
    return Call(
        "define_biller",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("subject_is_customer", subject_is_customer),
            argument.interval("dedup_window", dedup_window),
            argument.interval("dedup_margin", dedup_margin),
            argument.interval("absence", absence),
            argument.interval("max_age", max_age),
            argument.interval("max_ahead", max_ahead),
            argument.interval("grace", grace),
            argument.integer("max_digits", "integer", max_digits),
            argument.text("too_old", too_old),
            argument.text("negative", negative),
            argument.text("late", late),
        ),
        result.one(Biller),
    )


def report_metric(
    metric: str,
    event_name: str | None,
    mode: ReportMode | None = None,
    biller: str = "stripe",
    *,
    since: datetime | None = None,
) -> Call[MetricMapping]:
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
    return Call(
        "report_metric",
        (
            argument.text("metric", metric, required=True),
            argument.text("event_name", event_name, required=True),
            argument.text("mode", mode),
            argument.text("biller", biller, required=True),
            argument.time("since", since),
        ),
        result.one(MetricMapping),
    )


def report_subject(subject: str, customer: str | None, biller: str = "stripe") -> Call[SubjectMapping]:
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
    return Call(
        "report_subject",
        (
            argument.text("subject", subject, required=True),
            argument.text("customer", customer, required=True),
            argument.text("biller", biller, required=True),
        ),
        result.one(SubjectMapping),
    )


def report_mappings(biller: str = "stripe") -> Call[list[MetricMapping]]:
    """Return the metrics that are reported to a biller.

    Args:
        biller: The biller's name.

    Returns:
        A row for each metric.

    Example:
        [mapping.event_name for mapping in meter.report_mappings()]
    """
    return Call(
        "report_mappings", (argument.text("biller", biller, required=True),), result.every(MetricMapping)
    )


def plan_pushes(
    biller: str = "stripe",
    open_hours: bool = True,
    max_rows: int = 10000,
    *,
    now: datetime | None = None,
) -> Call[int]:
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
    return Call(
        "plan_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("open_hours", open_hours, required=True),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("now", now),
        ),
        result.number,
    )


def preview_pushes(
    biller: str = "stripe", open_hours: bool = True, *, now: datetime | None = None
) -> Call[list[PlannedPush]]:
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
    return Call(
        "preview_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("open_hours", open_hours, required=True),
            argument.time("now", now),
        ),
        result.every(PlannedPush),
    )


def claim_pushes(
    biller: str,
    worker: str,
    max_pushes: int = 100,
    *,
    lease: timedelta | None = None,
    now: datetime | None = None,
) -> Call[list[ClaimedPush]]:
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
    return Call(
        "claim_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            argument.integer("max_pushes", "integer", max_pushes),
            argument.interval("lease", lease),
            argument.time("now", now),
        ),
        result.every(ClaimedPush),
    )


def confirm_push(
    biller: str,
    worker: str,
    identifier: str,
    attempt: int,
    *,
    margin: timedelta | None = None,
    now: datetime | None = None,
) -> Call[bool]:
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
    return Call(
        "confirm_push",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            argument.text("identifier", identifier, required=True),
            argument.integer("attempt", "integer", attempt),
            argument.interval("margin", margin),
            argument.time("now", now),
        ),
        result.truth,
    )


def settle_pushes(
    biller: str,
    worker: str,
    results: Iterable[Mapping[str, Any]],
    *,
    now: datetime | None = None,
) -> Call[list[SettledPush]]:
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
    return Call(
        "settle_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            _results(results),
            argument.time("now", now),
        ),
        result.every(SettledPush),
    )


def _results(results: Iterable[Mapping[str, Any]]) -> argument.Argument:
    if results is not None and (isinstance(results, str | Mapping) or not isinstance(results, Iterable)):
        raise argument.refuse("results", "the value is not a list", "Give a list of dicts.")
    rows = None if results is None else [dict(r) if isinstance(r, Mapping) else r for r in results]
    return argument.json("results", rows, required=True)


def release_pushes(biller: str, worker: str, *, now: datetime | None = None) -> Call[int]:
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
    return Call(
        "release_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            argument.time("now", now),
        ),
        result.number,
    )


def uncertain_hours(
    biller: str = "stripe", max_rows: int = 100, *, now: datetime | None = None
) -> Call[list[UncertainHour]]:
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
    return Call(
        "uncertain_hours",
        (
            argument.text("biller", biller, required=True),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("now", now),
        ),
        result.every(UncertainHour),
    )


def settle_hour(
    biller: str,
    customer: str,
    event_name: str,
    hour: datetime,
    total: Quantity,
    *,
    delivered_total: Quantity | None = None,
    now: datetime | None = None,
    counting_since: datetime | None = None,
) -> Call[SettledHour]:
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

    Returns:
        The verdict.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.settle_hour("stripe", "cus_42", "api_tokens", hour, Decimal(120)).verdict
    """
    return Call(
        "settle_hour",
        (
            argument.text("biller", biller, required=True),
            argument.text("customer", customer, required=True),
            argument.text("event_name", event_name, required=True),
            argument.time("hour", hour, required=True),
            argument.quantity("total", total, required=True),
            argument.quantity("delivered_total", delivered_total),
            argument.time("now", now),
            argument.time("counting_since", counting_since),
        ),
        result.one(SettledHour),
    )


def resolve_push(identifier: str, delivered: bool, *, now: datetime | None = None) -> Call[Push]:
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
    return Call(
        "resolve_push",
        (
            argument.text("identifier", identifier, required=True),
            argument.boolean("delivered", delivered, required=True),
            argument.time("now", now),
        ),
        result.one(Push),
    )


def retry_pushes(
    biller: str = "stripe", identifier: str | None = None, *, now: datetime | None = None
) -> Call[list[Push]]:
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
    return Call(
        "retry_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("identifier", identifier),
            argument.time("now", now),
        ),
        result.every(Push),
    )


def leave_pushes(
    biller: str = "stripe",
    identifier: str | None = None,
    reason: str | None = None,
    *,
    now: datetime | None = None,
) -> Call[list[Push]]:
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
    return Call(
        "leave_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("identifier", identifier),
            argument.text("reason", reason),
            argument.time("now", now),
        ),
        result.every(Push),
    )


def fail_pushes(
    biller: str,
    event_id: str,
    identifiers: Sequence[str],
    code: str | None,
    *,
    event_name: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Call[int]:
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
    return Call(
        "fail_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("event_id", event_id, required=True),
            argument.texts("identifiers", identifiers),
            argument.text("code", code, required=True),
            argument.text("event_name", event_name),
            argument.time("since", since),
            argument.time("until", until),
            argument.time("now", now),
        ),
        result.number,
    )


def reconcilable_ranges(
    biller: str = "stripe",
    step: ReportStep = "day",
    max_rows: int = 100,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Call[list[ReconcilableRange]]:
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
    return Call(
        "reconcilable_ranges",
        (
            argument.text("biller", biller, required=True),
            argument.text("step", step, required=True),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("since", since),
            argument.time("until", until),
            argument.time("now", now),
        ),
        result.every(ReconcilableRange),
    )


def reconcile_range(
    biller: str,
    customer: str,
    event_name: str,
    range_start: datetime,
    step: ReportStep,
    total: Quantity,
    *,
    now: datetime | None = None,
) -> Call[Reconciliation]:
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
    return Call(
        "reconcile_range",
        (
            argument.text("biller", biller, required=True),
            argument.text("customer", customer, required=True),
            argument.text("event_name", event_name, required=True),
            argument.time("range_start", range_start, required=True),
            argument.text("step", step, required=True),
            argument.quantity("total", total, required=True),
            argument.time("now", now),
        ),
        result.one(Reconciliation),
    )


def reconciliation(biller: str = "stripe") -> Call[list[Reconciliation]]:
    """Return the comparisons that found a difference, the largest first.

    Args:
        biller: The biller's name.

    Returns:
        The comparisons.

    Example:
        assert meter.reconciliation() == []
    """
    return Call(
        "reconciliation", (argument.text("biller", biller, required=True),), result.every(Reconciliation)
    )


def report_status(biller: str = "stripe") -> Call[list[PushStatus]]:
    """Return how much usage is in each state of reporting, zeros included.

    Args:
        biller: The biller's name.

    Returns:
        A row for each metric and state. ``unplanned`` waits to be planned; ``unmapped`` has no
        customer.

    Example:
        {(row.metric, row.state): row.pushes for row in meter.report_status()}
    """
    return Call("report_status", (argument.text("biller", biller, required=True),), result.every(PushStatus))


def report_journal(biller: str = "stripe") -> Call[ReportJournal]:
    """Return where a biller's journal lives, and whether reporting is stopped because it was restored.

    Args:
        biller: The biller's name.

    Returns:
        The journal's server and state.

    Example:
        meter.report_journal().stopped
    """
    return Call(
        "report_journal", (argument.text("biller", biller, required=True),), result.one(ReportJournal)
    )


def adopt_journal(
    biller: str = "stripe", complete: bool = False, *, force: bool = False, now: datetime | None = None
) -> Call[ReportJournal]:
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
    return Call(
        "adopt_journal",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("complete", complete, required=True),
            argument.boolean("force", force, required=True),
            argument.time("now", now),
        ),
        result.one(ReportJournal),
    )


def pushes(
    biller: str = "stripe",
    state: PushState | None = None,
    subject: str | None = None,
    *,
    max_rows: int = 100,
    after_id: int | None = None,
) -> Call[list[Push]]:
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
    return Call(
        "pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("state", state),
            argument.text("subject", subject),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Push),
    )
