"""Proving rollups against the log, and making them anew: sql/repair/."""

from __future__ import annotations

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Drift


def rebuild(subject: str | None = None, metric: str | None = None) -> Call[int]:
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
    return Call(
        "rebuild", (argument.text("subject", subject), argument.text("metric", metric)), result.number
    )


def verify(subject: str | None = None, metric: str | None = None) -> Call[list[Drift]]:
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
    return Call(
        "verify", (argument.text("subject", subject), argument.text("metric", metric)), result.every(Drift)
    )
