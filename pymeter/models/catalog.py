"""The catalog of metrics: sql/catalog/."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pymeter.models.values import Model, Moment

Aggregate = Literal["sum", "count", "min", "max", "avg", "last", "unique"]
Period = Literal["minute", "hour", "day", "week", "month", "year", "never"]
Rollup = Literal["hour", "day", "none"]


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
    may_have_stripes: bool = False
    """Whether buckets may have several rows: while ``striped``, and afterwards until ``maintain`` has run."""
    carry: bool = False
    """For ``last``: whether a window without events has the last value before it."""
