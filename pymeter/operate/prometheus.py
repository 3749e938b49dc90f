"""The numbers of a meter in the form of Prometheus (extra ``prometheus``, imported when it is used)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final, Protocol

from pymeter.models import OperationalMetric

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `exposition` returns."""


class Metered(Protocol):
    """What is asked for the numbers: a ``Meter``."""

    def operational_metrics(self) -> list[OperationalMetric]:
        """As ``Meter.operational_metrics``."""
        ...


class MeterCollector:
    """A collector of prometheus_client: asks the meter at every scrape, and keeps nothing.

        REGISTRY.register(MeterCollector(Meter(pool)))

    Give it a pool's Meter: scrapes come from other threads. An error of the database fails the scrape.
    """

    def __init__(self, meter: Metered) -> None:
        self._meter = meter

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family for each name."""
        return families(self._meter.operational_metrics())


def families(rows: Iterable[OperationalMetric]) -> Iterator[Metric]:
    """The rows as families of prometheus_client; rows with one name follow each other."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, group in groupby(rows, key=lambda row: row.name):
        members = list(group)
        family = CounterMetricFamily if members[0].type == "counter" else GaugeMetricFamily
        labels = sorted(members[0].labels)
        metric = family(name, members[0].help, labels=labels)
        for row in members:
            metric.add_metric([row.labels[label] for label in labels], float(row.value))
        yield metric


def exposition(meter: Metered) -> str:
    """What /metrics answers, in Prometheus' text format: see `CONTENT_TYPE`.

    Set a statement_timeout on the connection, so that a busy database fails the scrape and keeps no session.
    Raises ModuleNotFoundError without prometheus_client.
    """
    return as_text(meter.operational_metrics())


def as_text(rows: Iterable[OperationalMetric]) -> str:
    """The rows in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    class _Rows:
        def collect(self) -> Iterator[Metric]:
            return families(rows)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rows())
    return generate_latest(registry).decode()
