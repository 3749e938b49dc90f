"""Prometheus metrics of a reporter that watches (extra ``prometheus``)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from pymeter.models import PushStatus, Reconciliation
from pymeter.report.biller import Outcome
from pymeter.report.observing import Observer

_UNREPORTED = ("unplanned", "planned", "sending")
_LAGGING = ("planned", "sending")
_PATH = "/metrics"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class PrometheusMetrics(Observer):
    """Exports metrics: gauges at the end of every round, counters and latencies on every event.

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
    """Serve the metrics at /metrics, over HTTP in a thread; returns a function that stops it.

    Every other path is a 404, every method but GET and HEAD a 405.
    """
    handler = type("Handler", (_Handler,), {"registry": registry})
    server = _Server((host, port), handler)
    thread = threading.Thread(target=server.serve_forever, name="pymeter-metrics", daemon=True)
    thread.start()

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no traceback when a client disconnects."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of /metrics."""

    registry: CollectorRegistry
    timeout = 10.0
    server_version = "pymeter"
    sys_version = ""

    def do_GET(self) -> None:
        # As it was sent: http.server makes one slash of several.
        path, _, query = self.requestline.split()[1].partition("?")
        if path != _PATH:
            self._answer(HTTPStatus.NOT_FOUND, f"Metrics are at {_PATH}.\n".encode())
            return
        encode, content_type = choose_encoder(self.headers.get("Accept") or "")
        names = parse_qs(query).get("name[]")
        chosen = self.registry.restricted_registry(names) if names else self.registry
        self._answer(HTTPStatus.OK, encode(chosen), content_type)

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET and HEAD.\n", allow="GET, HEAD")

    def __getattr__(self, name: str) -> Any:
        # http.server looks for a method do_<METHOD>, whatever the client calls it.
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes,
        content_type: str = "text/plain; charset=utf-8",
        allow: str | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if allow:
            self.send_header("Allow", allow)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Log nothing: standard error is the reporter's."""
