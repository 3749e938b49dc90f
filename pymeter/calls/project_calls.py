"""What a billing cycle will hold at its end: sql/project/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import InvoiceProjection, UsageProjection


def project_usage(
    subject: str, metric: str | None = None, *, now: datetime | None = None
) -> Call[list[UsageProjection]]:
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
    return Call(
        "project_usage",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric),
            argument.time("now", now),
        ),
        result.every(UsageProjection),
    )


def project_invoice(subject: str, *, now: datetime | None = None) -> Call[list[InvoiceProjection]]:
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
    return Call(
        "project_invoice",
        (argument.text("subject", subject, required=True), argument.time("now", now)),
        result.every(InvoiceProjection),
    )


def judge_projections(*, now: datetime | None = None, max_subjects: int = 1000) -> Call[int]:
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
    return Call(
        "judge_projections",
        (argument.time("now", now), argument.integer("max_subjects", "integer", max_subjects)),
        result.number,
    )
