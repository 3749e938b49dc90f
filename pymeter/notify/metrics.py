"""Prometheus metrics of a sender that watches (extra ``prometheus``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from pymeter.models import BudgetRound, ClaimedDelivery, EndpointStatus
from pymeter.notify.observing import Observer
from pymeter.notify.options import Result

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class PrometheusMetrics(Observer):
    """Exports metrics: gauges once a minute, counters and latencies on every event.

        Notifier(pool, observers=[PrometheusMetrics()]).watch()

    The labels are the endpoint's name and the outcome; none has a subject, a URL or an identifier.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry = REGISTRY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._known: set[str] = set()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"pymeter_notify_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"pymeter_notify_{name}", text, labels, registry=registry)

        self._open = gauge("open_deliveries", "Deliveries that are still to be sent.", "endpoint")
        self._dead = gauge("dead_deliveries", "Deliveries that were given up.", "endpoint")
        self._oldest = gauge("oldest_open_seconds", "Age of the oldest delivery to be sent.", "endpoint")
        self._failing = gauge("failing", "1 while all attempts fail.", "endpoint")
        self._disabled = gauge("disabled", "1 while the endpoint is disabled.", "endpoint")
        self._status_at = gauge("last_status_timestamp_seconds", "When these numbers were read.")
        self._attempts = counter("attempts_total", "Attempts by outcome.", "endpoint", "outcome")
        self._planned = counter("planned_notifications_total", "Notifications that were looked at.")
        self._given_up = counter("given_up_total", "Deliveries that became dead.")
        self._spikes = counter("spikes_total", "Spikes that were found.")
        self._budget_marks = counter("budget_marks_total", "Marks of budgets that were reached.")
        self._judged = counter("judged_budget_subjects_total", "Subjects whose budgets were judged.")
        self._not_judged = counter("failed_budget_subjects_total", "Subjects that could not be judged.")
        self._projected = counter("projected_marks_total", "Marks that the expected usage has reached.")
        self._trouble = counter("troubles_total", "What went wrong without ending the work.")
        self._seconds = Histogram(
            "pymeter_notify_attempt_seconds",
            "How long attempts took.",
            ["endpoint", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )

    def planned(self, notifications: int) -> None:
        self._planned.inc(notifications)

    def sent(self, delivery: ClaimedDelivery, result: Result, seconds: float) -> None:
        self._attempts.labels(delivery.endpoint, result.outcome).inc()
        self._seconds.labels(delivery.endpoint, result.outcome).observe(seconds)

    def given_up(self, deliveries: int) -> None:
        self._given_up.inc(deliveries)

    def spikes(self, found: int) -> None:
        self._spikes.inc(found)

    def budgets(self, found: BudgetRound) -> None:
        self._budget_marks.inc(found.approaching + found.exceeded)
        self._judged.inc(found.judged)
        self._not_judged.inc(found.failed)

    def projected_marks(self, fired: int) -> None:
        self._projected.inc(fired)

    def trouble(self, message: str) -> None:
        self._trouble.inc()

    def status(self, endpoints: Sequence[EndpointStatus]) -> None:
        now = self._clock()
        for one in endpoints:
            age = (now - one.oldest_open_at).total_seconds() if one.oldest_open_at else 0.0
            self._open.labels(one.name).set(one.open_deliveries)
            self._dead.labels(one.name).set(one.dead_deliveries)
            self._oldest.labels(one.name).set(age)
            self._failing.labels(one.name).set(one.failing_since is not None)
            self._disabled.labels(one.name).set(one.disabled_at is not None)
        names = {one.name for one in endpoints}
        for name in self._known - names:
            for gauge in (self._open, self._dead, self._oldest, self._failing, self._disabled):
                gauge.remove(name)
        self._known = names
        self._status_at.set(now.timestamp())
