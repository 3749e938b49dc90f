"""The catalog of metrics: sql/catalog/."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pymeter.models.values import Model, Moment

Aggregate = Literal["sum", "count", "min", "max", "avg", "last", "unique"]
Period = Literal["minute", "hour", "day", "week", "month", "year", "never"]
Rollup = Literal["minute", "hour", "day", "none"]
AfterClose = Literal["accept", "refuse"]


class Metric(Model):
    """A metric's row in the catalog."""

    key: str
    aggregate: Aggregate
    unit: str
    name: str | None = None
    description: str | None = None
    period: Period
    """The billing bucket, a calendar period in UTC."""
    rollup: Rollup
    striped: bool
    max_future: timedelta
    """How far ahead of the clock an event may lie."""
    defined_at: Moment
    retired_at: Moment | None = None
    """None while the metric is in use."""
    billers: list[str] | None = None
    """The billers that it is reported to; None while it is not reported."""
    carry: bool = False
    """For ``last``: whether a window without events has the last value before it."""
    revision: int
    """Goes up by one with every change of the definition or of the billers."""
    fine_bucket: Period
    """The shorter one of period and rollup; the period if the rollup is ``none``."""
    coarse_bucket: Period
    """The longer one of period and rollup; the same as fine_bucket if there is only one kind."""
    limited: bool = False
    """Whether it has had a limit: recording then looks at limits."""
    after_close: AfterClose = "accept"
    """Whether a new event of a closed period is accepted, as late usage, or refused."""
