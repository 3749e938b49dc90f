"""Requests that are large, slow, deep or no HTTP: `pymeter web` refuses them soon, in bounded memory."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pymeter.web import app
from pymeter.web.serving import Protocol
from tests.helpers import Ledger
from tests.web.conftest import running
from tests.web.hostile import REQUESTS, answer_to, chunked, query, whole
from tests.web.posts import Poster
from tests.web.process import Served, login, new_key, serving

# What the process may take at most for all of these, beside what it has after its first request.
_MEMORY_MAX = 120e6
_SECONDS_MAX = 20
_DEEP = b'{"subject":"a","metric":"tokens","quantity":1,"metadata":{"x":['
_LARGE = {
    "1 GB in chunks": (chunked(1 << 30), (413, 0)),
    "a million parameters": (query(1_000_000), (400, 0)),
    "a million elements": (whole(b"[" + b"1," * 1_000_000 + b"1]"), (413,)),
    "the most elements that fit": (whole(b"[" + b"{}," * 349_000 + b"{}]"), (413,)),
    "the most elements in an event": (whole(_DEEP + b'{"a":1},' * 130_000 + b"1]}}"), (400, 503)),
}
# So many at once, of which each takes some 25 MB when it is parsed.
_AT_ONCE = 12


@pytest.fixture
def process(meter_dsn: str, ledger: Ledger, tmp_path: Path) -> Iterator[Served]:
    ledger.define("tokens", "sum", "token")
    with login(meter_dsn) as dsn, serving(dsn, new_key(meter_dsn), tmp_path / "log") as served:
        yield served


def test_hostile_requests_are_refused_soon_and_in_bounded_memory(process: Served, ledger: Ledger) -> None:
    good = b'{"subject": "acct_1", "metric": "tokens", "quantity": 1}'
    with Poster(process.port, process.key) as poster:
        assert poster.post(good)[0] == 200
        before = process.peak()
        for name, (request, statuses) in {**REQUESTS, **_LARGE}.items():
            began = time.monotonic()
            assert answer_to(process.port, request(process.key)) in statuses, name
            assert time.monotonic() - began < _SECONDS_MAX, name
        request, statuses = _LARGE["the most elements in an event"]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = pool.map(
                lambda _: answer_to(process.port, request(process.key), seconds=60), range(_AT_ONCE)
            )
            assert {*answers} <= {*statuses}
        assert process.peak() - before < _MEMORY_MAX
        assert poster.post(good)[0] == 200
    assert ledger.usage("acct_1", "tokens").event_count == 2
    assert ledger.value("SELECT count(*) FROM meter.events") == 2
    assert process.key not in process.log.read_text()


_KEY = "Authorization: Bearer pm_live_1_0123456789abcdef"
_HALF_A_BODY = f"POST /v1/events HTTP/1.1\r\nHost: x\r\n{_KEY}\r\nContent-Length: 99\r\n\r\n{{".encode()


class _Hasty(Protocol):
    arrival_seconds = 0.5


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\n",
        _HALF_A_BODY,
    ],
    ids=["nothing", "half of the headers", "half of the body"],
)
def test_a_connection_on_which_a_request_arrives_slowly_is_closed(sent: bytes) -> None:
    """A byte now and then does not keep it open; neither does an earlier request on it."""
    answered = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(app("host=127.0.0.1 port=1 dbname=x"), http=_Hasty) as base:
        port = int(base.rpartition(":")[2])
        for first in (b"", answered):
            with _connected(port) as slow:
                if first:
                    slow.sendall(first)
                    assert slow.recv(4096).startswith(b"HTTP/1.1 200")
                began = time.monotonic()
                slow.sendall(sent)
                slow.settimeout(0.1)
                assert _closed(slow, b"X" if sent else b"")
                assert 0.3 < time.monotonic() - began < 10
        # Requests that arrive in time are answered on one connection for as long as they come.
        quick = HTTPConnection("127.0.0.1", port, timeout=20)
        quick.connect()
        quick.auto_open = 0
        for _ in range(4):
            quick.request("GET", "/health/live")
            assert quick.getresponse().read() == b'{"live":true}'
            time.sleep(0.2)
        quick.close()


def _connected(port: int) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _closed(slow: socket.socket, dripped: bytes) -> bool:
    """Whether the server closes the connection, to which a byte is sent now and then."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            slow.sendall(dripped)
            if not slow.recv(4096):
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False
