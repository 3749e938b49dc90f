"""Maintenance and health: sql/operate/."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pymeter.models.values import Model, Moment


class MaintenanceAction(Model):
    """One thing that ``maintain`` did."""

    action: str
    object: str


class Health(Model):
    """The state of a meter in one row."""

    healthy: bool
    """Whether there are no problems."""
    problems: list[str]
    """Conditions that need action now."""
    notices: list[str]
    """Conditions that may need attention."""
    missing_partitions: int
    """Of this month and the next three."""
    stray_events: int
    """In the default partition; counted up to 10,000."""
    oldest_unreported_at: Moment | None = None
    """When the oldest unreported usage happened; None without any."""
    last_maintained_at: Moment | None = None
    silent: list[str]
    """Subject and metric that were recorded every day for a week and then stopped."""
    bloated: list[str]
    """Tables with many dead rows."""


class OperationalMetric(Model):
    """One number about the meter, for a monitor."""

    name: str
    """As Prometheus has it."""
    type: Literal["gauge", "counter"]
    help: str
    labels: dict[str, str]
    """Empty without labels; never a subject."""
    value: Decimal
    """In base units, such as seconds."""
