"""What was used, and whether a quota leaves room: sql/usage/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import (
    Event,
    Quantity,
    QuotaStatus,
    SubjectActivity,
    UsageBucket,
    UsageGroup,
    UsageTotal,
    Window,
)


def usage(
    subject: str,
    metric: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[UsageTotal]:
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
    return Call(
        "usage",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            *argument.window(period, since, until, timezone, now),
        ),
        result.one(UsageTotal),
    )


def summary(
    subject: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageTotal]]:
    """Return an invoice's lines: the usage of every metric, zeros included.

    A retired metric is among them where it has usage in the window.

    The window is given as for `usage`. Raises InvalidInput, NullInput.

        for line in meter.summary("acct_1", period="month"): print(line.metric, line.quantity, line.unit)
    """
    return Call(
        "summary",
        (
            argument.text("subject", subject, required=True),
            *argument.window(period, since, until, timezone, now),
        ),
        result.every(UsageTotal),
    )


def series(
    subject: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    step: str = "day",
    timezone: str = "UTC",
) -> Call[list[UsageBucket]]:
    """Return the usage step by step over [`since`, `until`), every bucket included.

    A chart plots it as it is: without events a bucket is 0 for ``sum``, ``count`` and ``unique``, and None
    for the others, unless a ``last`` metric carries its value over.
    `step` is a unit of the calendar in `timezone` (``minute hour day week month year``), or a duration such
    as ``15m``, counted from `since`.

    Raises UnknownMetric, InvalidInput.

        meter.series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
    """
    return Call(
        "series",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.time("since", since, required=True),
            argument.time("until", until, required=True),
            argument.text("step", step, required=True),
            argument.text("timezone", timezone, required=True),
        ),
        result.every(UsageBucket),
    )


def usage_by(
    subject: str,
    metric: str,
    dimension: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageGroup]]:
    """Return the usage of one metric in one window, grouped by a field of the events' metadata.

    The window is given as for `usage`. The group ``None`` holds the events that do not have the field.

    Raises UnknownMetric, InvalidInput.

        meter.usage_by("acct_1", "tokens", "model", period="month")
    """
    return Call(
        "usage_by",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.text("dimension", dimension, required=True),
            *argument.window(period, since, until, timezone, now),
        ),
        result.every(UsageGroup),
    )


def check_quota(
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
) -> Call[QuotaStatus]:
    """Say whether `quota` (in the metric's unit) leaves room, now or for `requested` more.

    Allowed means used < quota, or used + requested <= quota. It is a check, not a reservation: two callers
    may both be told yes. The window is given as for `usage`.

    Raises UnknownMetric, InvalidInput.

        meter.check_quota("acct_1", "tokens", 1_000_000, requested=5_000).allowed
    """
    return Call(
        "check_quota",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.quantity("quota", quota, required=True),
            argument.quantity("requested", requested),
            *argument.window(period, since, until, timezone, now),
        ),
        result.one(QuotaStatus),
    )


def subjects(max_rows: int = 100) -> Call[list[SubjectActivity]]:
    """Return the subjects that were last active, most recent first.

    [row.subject for row in meter.subjects(10)]
    """
    return Call(
        "subjects", (argument.integer("max_rows", "integer", max_rows),), result.every(SubjectActivity)
    )


def events(
    subject: str,
    metric: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int | None = None,
    max_rows: int = 100,
    after_at: datetime | None = None,
) -> Call[list[Event]]:
    """Return a page of the log, newest first: why was this charged?

    For the next page pass the last row's ``event_id`` as `after_id` and its ``at`` as `after_at`;
    `iter_events` does that. Raises UnknownMetric, InvalidInput.

        meter.events("acct_1", "tokens", max_rows=10)
    """
    return Call(
        "events",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric),
            argument.time("since", since),
            argument.time("until", until),
            argument.integer("after_id", "bigint", after_id),
            argument.integer("max_rows", "integer", max_rows),
            argument.time("after_at", after_at),
        ),
        result.every(Event),
    )


def resolve_window(
    period: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[Window]:
    """Return the window that all other calls would use for these arguments.

    Raises InvalidInput.

        meter.resolve_window("month", timezone="Europe/Berlin").since
    """
    return Call("resolve_window", argument.window(period, since, until, timezone, now), result.window)
