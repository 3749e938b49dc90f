"""Differences between rollups and the log: sql/repair/."""

from __future__ import annotations

from decimal import Decimal

from pymeter.models.values import Model, Moment


class Drift(Model):
    """A rollup row that differs from the log."""

    subject: str
    metric: str
    bucket: str
    bucket_start: Moment | None = None
    stored: Decimal | None = None
    recomputed: Decimal | None = None
    what: str | None = None
    """What differs: ``rollup``, ``members`` or ``rollup and members``."""
