"""Proving rollups against the log, and making them anew: sql/repair/."""

from __future__ import annotations

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Drift


def rebuild(subject: str | None = None, metric: str | None = None) -> Call[int]:
    """Recompute rollups from the log while others record; returns how many rollup rows were written.

    Everything, or one subject, or one metric, or one subject's metric. Raises UnknownMetric.

        meter.rebuild("acct_1")
    """
    return Call(
        "rebuild", (argument.text("subject", subject), argument.text("metric", metric)), result.number
    )


def verify(subject: str | None = None, metric: str | None = None) -> Call[list[Drift]]:
    """Recompute from the log and return only what differs: an empty list means no drift.

    Raises UnknownMetric.

        assert meter.verify() == []
    """
    return Call(
        "verify", (argument.text("subject", subject), argument.text("metric", metric)), result.every(Drift)
    )
