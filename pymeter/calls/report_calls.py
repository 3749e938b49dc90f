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
    """Set by which rules is reported to a biller, and return them; what is None stays as it is.

    Raises InvalidInput for what cannot be.

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
    """Report a metric to a biller under this name; None ends it. Doing the same again changes nothing.

    `mode` is ``delta`` (what a bucket has gained since the last plan), ``event`` (every event by itself) or
    ``last`` (the period's present value); None keeps it as it is, and is ``delta`` for a new mapping. The
    first time, the usage that is there already is queued, all of it or the buckets that begin at `since` or
    later.

    Raises UnknownMetric, MetricForbids for a mode that would report wrong totals, InvalidInput, NullInput.

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
    """Say which of the biller's customers a subject is; None ends it. Again: changes nothing.

    Usage that is there already and was never reported is queued. What has been planned stays with the
    customer that it was planned for. Raises InvalidInput, NullInput.

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
    """Plan pushes for usage that has not been reported; returns how many queued rows it looked at.

    Call it until it returns 0, each time in a transaction of its own. Without `open_hours` the hour that is
    still open is left for later, unless its period is about to end.

    Raises MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        while meter.plan_pushes(): pass
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

    for push in meter.preview_pushes(): print(push.customer, push.event_name, push.value)
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
    """Claim pushes to be sent now; nobody else gets them, nor others of their customer and event name.

    `worker` names the caller, uniquely. `lease` (two minutes unless given) is for how long: send nothing
    after ``leased_until``. Those of one customer and event name are to be sent one after another.
    Commit before sending: that a push is being sent has to outlast a crash.

    Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

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

    Call it right before each send, and send only on True: the clocks of a suspended machine stand still.

        if meter.confirm_push("stripe", "worker_1", push.identifier, push.attempt): ...
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
    """Say what became of claimed pushes, and return the state of each.

    A result has ``push_id``, ``attempt``, ``outcome``, and optionally ``identifier`` (then it counts only
    for a push of that identifier), ``error`` and ``retry_after`` (seconds). The outcome is ``delivered``,
    ``rejected`` (refused for good), ``unknown`` (perhaps counted: sent again under the same identifier
    while the biller recognises it) or ``not_applied`` (certainly not counted: sent again later, with a
    `retry_after` of 0 at once).

    Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

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
    """Give back what a worker has claimed and not settled; returns how many pushes.

    They may have been sent, for all that is known: they are sent again under the same identifier.
    Settle as ``not_applied`` what was certainly not sent.

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

    for hour in meter.uncertain_hours(): print(hour.customer, hour.hour, hour.uncertain_total)
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
    """Resolve the uncertain pushes of an hour by the biller's `total` for it, as far as it tells.

    Give `delivered_total` as `uncertain_hours` returned it: if it has changed since, nothing is decided.
    What is missing from the total is planned anew only when it is still missing a day (a setting) later,
    and never if it was sent before `counting_since`, when the biller began to count under this name.

    Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

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
    """Say what a person knows of an uncertain push: that it was delivered, or that it was not.

    One that was not is replaced by another with an identifier of its own. Returns the push as it is now.
    Raises InvalidInput for an unknown identifier, and for a push that is not uncertain.

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
    """Plan pushes anew that were rejected or held, all or one; returns the new ones.

    They have identifiers of their own, and go to the customers and event names of the present mappings.
    It overrides the hold: a held one is sent although it is negative, and what is too old or late is
    stamped with the present. Raises InvalidInput for an unknown identifier, and for one that could not be
    sent as things are.

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
    """Decide that rejected or held pushes are not sent: one, or all with a reason; returns them.

    They become ``left``, which :meth:`report_status` counts. Raises InvalidInput if neither is given, and for
    an unknown identifier.

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
    """Take in a biller's asynchronous error report, once per `event_id`; returns how many were rejected.

    The pushes named become rejected with the `code`. What else was delivered under `event_name` between
    `since` and `until` is put up for reconciliation.

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

    for day in meter.reconcilable_ranges(): print(day.customer, day.range_start, day.local)
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
    """Compare the biller's `total` of an hour or day with what was delivered; keep and return the result.

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

    assert meter.reconciliation() == []
    """
    return Call(
        "reconciliation", (argument.text("biller", biller, required=True),), result.every(Reconciliation)
    )


def report_status(biller: str = "stripe") -> Call[list[PushStatus]]:
    """Return how much of each metric is in each state, zeros included, and what has no push yet.

    ``unplanned`` is usage that waits to be planned, ``unmapped`` usage without a customer or event name.

        {(row.metric, row.state): row.quantity for row in meter.report_status()}
    """
    return Call("report_status", (argument.text("biller", biller, required=True),), result.every(PushStatus))


def report_journal(biller: str = "stripe") -> Call[ReportJournal]:
    """Return where a biller's journal lives, and whether reporting is stopped because it was restored.

    meter.report_journal().stopped
    """
    return Call(
        "report_journal", (argument.text("biller", biller, required=True),), result.one(ReportJournal)
    )


def adopt_journal(
    biller: str = "stripe", complete: bool = False, *, now: datetime | None = None
) -> Call[ReportJournal]:
    """Go on with a journal that was restored, copied or failed over, on this server.

    Stop the other server's reporters first: whoever reports from two journals reports twice. Usage that
    this journal may not know the sending of is looked up in the biller's totals before it is sent. With
    `complete` nothing is doubtful: the journal has lost nothing, as after a planned switchover.

    Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        meter.adopt_journal()
    """
    return Call(
        "adopt_journal",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("complete", complete, required=True),
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
    """Return a page of the journal, newest first; for the next, the last row's ``push_id`` as `after_id`.

    for push in meter.pushes(state="rejected"): print(push.identifier, push.error)
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
