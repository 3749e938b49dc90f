"""What a billing cycle will hold at its end: sql/project/."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pymeter.models.catalog import Aggregate
from pymeter.models.values import Model, Moment

ProjectionMethod = Literal["run_rate", "weekday_profile", "recent_values", "unchanged", "none", "stated"]


class UsageProjection(Model):
    """How much of a metric a subject will have used when its billing cycle ends."""

    metric: str
    aggregate: Aggregate
    unit: str
    since: Moment
    until: Moment
    at: Moment
    """The moment of the projection: only usage before it counts."""
    elapsed: Decimal
    """The part of the cycle that has passed, from 0 to 1."""
    used: Decimal
    method: ProjectionMethod
    """``none``: nothing can be said, and `low`, `expected` and `high` are None."""
    low: Decimal | None = None
    expected: Decimal | None = None
    high: Decimal | None = None
    run_rate: Decimal | None = None
    """What the run rate says: what was used so far, by the part of the cycle that has passed."""
    weekday_profile: Decimal | None = None
    """What the same weekdays and hours of the last four weeks say."""
    history_days: int | None = None
    """Whole days since the first usage; None without any."""
    reason: str | None = None
    """Why nothing can be said, or nothing more is expected."""


class InvoiceProjection(Model):
    """A line of the invoice that the running billing cycle will have."""

    item: str | None = None
    """The line of the plan; None for usage without a price, for the minimum of a plan, and for a total."""
    metric: str | None = None
    kind: str
    since: Moment
    until: Moment
    quantity: Decimal | None = None
    """The expected one, all tiers together."""
    unit: str | None = None
    so_far: Decimal | None = None
    """The amount if nothing more is used."""
    low: Decimal | None = None
    """The amount at the low usage. None: unknown, or there is no price."""
    expected: Decimal | None = None
    high: Decimal | None = None
    currency: str | None = None
    method: ProjectionMethod | None = None
    """Of the metric; ``stated``: the cycle is closed. None for what does not depend on usage to come."""
    reason: str | None = None
    explanation: str | None = None
    """How the expected amount comes about."""
    plan: str | None = None
    name: str | None = None
