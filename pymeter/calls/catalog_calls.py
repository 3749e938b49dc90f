"""What is metered: sql/catalog/."""

from __future__ import annotations

from datetime import timedelta

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Aggregate, Metric, Period, Rollup


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
) -> Call[Metric]:
    """Define a metric, or change how it is described. Defining the same again changes nothing.

    `aggregate` is one of ``sum count min max avg last unique``; `period` is the billing bucket
    (``minute hour day week month year never``, calendar, UTC); `rollup` the finer bucket kept beside it
    (``hour day none``). `striped` spreads one hot subject over several rows. `max_future` is how far ahead
    of the clock an event may lie. `carry`, for ``last``: a window without events has the last value from
    before it. What is None stays as it is; a new metric begins with month, hour, False, one day and False.
    An empty `name` or `description` removes it.

    Raises InvalidInput for an unknown word, MetricForbids when the aggregate or period of a metric that has
    events would change.

        meter.define_metric("tokens", "sum", "tokens", name="Tokens")
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
        ),
        result.one(Metric),
    )


def retire_metric(key: str) -> Call[Metric]:
    """Retire a metric: its history stays readable, recording is refused (MetricForbids).

    Raises UnknownMetric.

        meter.retire_metric("tokens")
    """
    return Call("retire_metric", (argument.text("key", key, required=True),), result.one(Metric))


def catalog() -> Call[list[Metric]]:
    """Return every metric that was ever defined, the retired ones included.

    [metric.key for metric in meter.catalog()]
    """
    return Call("catalog", (), result.every(Metric))
