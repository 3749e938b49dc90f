"""What is metered: sql/catalog/."""

from __future__ import annotations

from datetime import timedelta

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import AfterClose, Aggregate, Metric, Period, Rollup


def define_metric(
    key: str,
    aggregate: Aggregate,
    unit: str,
    *,
    name: str | None = None,
    description: str | None = None,
    period: Period | None = None,
    rollup: Rollup | None = None,
    striped: bool | None = None,
    max_future: timedelta | None = None,
    carry: bool | None = None,
    after_close: AfterClose | None = None,
) -> Call[Metric]:
    """Define a metric, or change one. What is left out stays as it is.

    Args:
        key: The name that `record` and `usage` take.
        aggregate: How events become one number: ``sum count min max avg last unique``.
        unit: What one of the quantity is: ``token``, ``GB``, ``seat``.
        name: A title for people.
        description: What is counted and why, for people.
        period: The billing bucket, calendar, UTC: ``minute hour day week month year never``;
            ``month`` for a new metric.
        rollup: The finer bucket kept beside it: ``minute hour day none``; ``hour`` for a new metric.
        striped: Whether concurrent writers of one subject spread over several rows instead of
            waiting.
        max_future: How far ahead of the clock an event may lie; one day for a new metric.
        carry: For ``last``: whether a window without events answers with the last value before it.
        after_close: What to do with a new event of a period that is closed for its subject: ``accept``
            it as late usage, or ``refuse`` it with PeriodSealed. A new metric accepts.

    Returns:
        The metric as it is now.

    Raises:
        InvalidInput: a word is unknown.
        MetricForbids: the aggregate or period of a metric that has events would change.

    Example:
        meter.define_metric("tokens", "sum", "token", name="Tokens")
    """
    return Call(
        "define_metric",
        (
            argument.text("key", key, required=True),
            argument.text("aggregate", aggregate, required=True),
            argument.text("unit", unit, required=True),
            argument.text("name", name),
            argument.text("description", description),
            argument.text("period", period),
            argument.text("rollup", rollup),
            argument.boolean("striped", striped),
            argument.interval("max_future", max_future),
            argument.boolean("carry", carry),
            argument.text("after_close", after_close),
        ),
        result.one(Metric),
    )


def retire_metric(key: str) -> Call[Metric]:
    """Retire a metric: its history stays readable, recording is refused.

    Args:
        key: The metric's key.

    Returns:
        The metric as it is now.

    Raises:
        UnknownMetric: the catalog has no such metric.

    Example:
        meter.retire_metric("tokens")
    """
    return Call("retire_metric", (argument.text("key", key, required=True),), result.one(Metric))


def metric(key: str) -> Call[Metric]:
    """Return the definition of one metric, retired or not.

    Args:
        key: The metric's key.

    Returns:
        The metric.

    Raises:
        UnknownMetric: the catalog has no such metric.

    Example:
        meter.metric("tokens").unit
    """
    return Call("metric", (argument.text("key", key, required=True),), result.one(Metric))


def catalog() -> Call[list[Metric]]:
    """Return every metric that was ever defined, retired ones included.

    Returns:
        The metrics, by key.

    Example:
        [metric.key for metric in meter.catalog()]
    """
    return Call("catalog", (), result.every(Metric))
