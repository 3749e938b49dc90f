"""Prometheus metrics of a reporter that watches (extra ``prometheus``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from pymeter.models import PushStatus, Reconciliation
from pymeter.report.biller import Outcome
from pymeter.report.observing import Observer

_UNREPORTED = ("unplanned", "planned", "sending")
_LAGGING = ("planned", "sending")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class PrometheusMetrics(Observer):
    """Gauges are set at the end of every round, counters and latencies as things happen.

        Reporter(pool, biller, observers=[PrometheusMetrics("stripe")]).watch()

    Every metric has a label ``biller``; none has a customer, a subject or an identifier.
    """

    def __init__(
        self,
        biller_name: str = "stripe",
        *,
        registry: CollectorRegistry = REGISTRY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = biller_name
        self._clock = clock

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"pymeter_report_{name}", text, ["biller", *labels], registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"pymeter_report_{name}", text, ["biller", *labels], registry=registry)

        self._pushes = gauge(
            "pushes", "Pushes by state, of all metrics; unmapped counts subjects and metrics.", "state"
        )
        self._oldest = gauge("oldest_seconds", "Age of the earliest usage in a state.", "state")
        self._unreported = gauge(
            "oldest_unreported_seconds", "Age of the earliest usage that the biller has not been told of."
        )
        self._lag = gauge("lag_seconds", "Age of the earliest usage that is planned and not delivered.")
        self._drifting = gauge(
            "drift_ranges", "Customer hours or days whose totals differ at last comparison."
        )
        self._drift = gauge("drift_quantity", "Sum of those differences, each without its sign.")
        self._round_at = gauge("last_round_timestamp_seconds", "When the last round ended.")
        self._calls = counter("calls_total", "Calls by outcome.", "outcome")
        self._throttled = counter("throttled_calls_total", "Calls that the biller answered with 429.")
        self._waits = counter("rate_limit_waits_total", "How often a connection waited for its turn.")
        self._waited = counter("rate_limit_wait_seconds_total", "How long connections waited for their turn.")
        self._rows = counter("planned_rows_total", "Rows of the queue that were planned.")
        self._found = counter("resolved_total", "Uncertain pushes that totals resolved.", "found")
        self._failed = counter("failed_later_total", "Accepted pushes that the biller could not count.")
        self._compared = counter("compared_ranges_total", "Totals compared with the biller's.")
        self._trouble = counter("troubles_total", "What went wrong without ending the work.")
        self._seconds = Histogram(
            "pymeter_report_send_seconds",
            "How long calls took.",
            ["biller", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )

    def planned(self, rows: int) -> None:
        self._rows.labels(self._name).inc(rows)

    def sent(self, outcome: Outcome, seconds: float) -> None:
        self._calls.labels(self._name, outcome.result).inc()
        self._seconds.labels(self._name, outcome.result).observe(seconds)
        if outcome.throttled:
            self._throttled.labels(self._name).inc()

    def waited(self, seconds: float) -> None:
        self._waits.labels(self._name).inc()
        self._waited.labels(self._name).inc(seconds)

    def resolved(self, present: int, absent: int) -> None:
        self._found.labels(self._name, "present").inc(present)
        self._found.labels(self._name, "absent").inc(absent)

    def failed_later(self, pushes: int) -> None:
        self._failed.labels(self._name).inc(pushes)

    def compared(self, ranges: int, different: int) -> None:
        self._compared.labels(self._name).inc(ranges)

    def trouble(self, message: str) -> None:
        self._trouble.labels(self._name).inc()

    def status(self, rows: Sequence[PushStatus], drift: Sequence[Reconciliation]) -> None:
        now = self._clock()
        counts: dict[str, int] = {}
        age: dict[str, float] = {}
        for row in rows:
            seconds = (now - row.oldest).total_seconds() if row.oldest else 0.0
            counts[row.state] = counts.get(row.state, 0) + row.pushes
            age[row.state] = max(age.get(row.state, seconds), seconds)
        for state, pushes in counts.items():
            self._pushes.labels(self._name, state).set(pushes)
            self._oldest.labels(self._name, state).set(age[state])
        self._unreported.labels(self._name).set(max([age.get(state, 0.0) for state in _UNREPORTED]))
        self._lag.labels(self._name).set(max([age.get(state, 0.0) for state in _LAGGING]))
        self._drifting.labels(self._name).set(len(drift))
        self._drift.labels(self._name).set(float(sum(abs(row.difference or Decimal(0)) for row in drift)))
        self._round_at.labels(self._name).set(now.timestamp())


def serve(
    port: int, host: str = "127.0.0.1", *, registry: CollectorRegistry = REGISTRY
) -> Callable[[], None]:
    """Serve the metrics over HTTP in a thread of its own; returns what ends it."""
    server, thread = start_http_server(port, host, registry)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close
