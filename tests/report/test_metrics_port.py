"""The port of the metrics answers GET and HEAD of /metrics, and nothing else."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry

from pymeter.report.metrics import PrometheusMetrics, serve

Ask = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def port() -> Iterator[int]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    registry = CollectorRegistry()
    PrometheusMetrics("stripe", registry=registry).planned(5)
    close = serve(free, registry=registry)
    yield free
    close()


def _ask(port: int, method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    answer = response.status, response.read(), dict(response.getheaders())
    connection.close()
    return answer


def test_metrics_are_at_their_path(port: int) -> None:
    status, body, headers = _ask(port, "GET", "/metrics")
    assert (status, b'planned_rows_total{biller="stripe"} 5.0' in body) == (200, True)
    assert headers["Content-Type"].startswith(("text/plain", "application/openmetrics-text"))
    assert "Python" not in headers["Server"]
    status, body, _ = _ask(port, "GET", "/metrics?name[]=pymeter_report_troubles_total")
    assert (status, b"planned_rows" in body) == (200, False)
    status, body, headers = _ask(port, "HEAD", "/metrics")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path",
    ["/", "/metric", "/metrics/", "//metrics", "/metrics/x", "/METRICS", "/favicon.ico", "/..", "*", "x"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_other_path_is_not_found(port: int, method: str, path: str) -> None:
    status, body, _ = _ask(port, method, path)
    assert (status, b"pymeter_report" in body) == (404, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_every_other_method_is_not_allowed(port: int, method: str) -> None:
    status, _, headers = _ask(port, method, "/metrics")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_client_that_sends_nonsense_or_hangs_up_does_not_stop_it(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"", b"\0\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics HTTP/1.1\r\nContent-Length: 9999\r\n"):
        with closing(socket.create_connection(("127.0.0.1", port), 10)) as connection:
            connection.sendall(sent)
    assert _ask(port, "GET", "/metrics")[0] == 200
    assert capfd.readouterr().err == ""
