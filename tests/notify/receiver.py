"""A receiver of webhooks that fails in every way, and remembers what it got."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_HANG_SECONDS_MAX = 30


@dataclass
class Got:
    """One request that was read."""

    path: str
    headers: dict[str, str]
    body: bytes
    accepted: bool

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def subject(self) -> str:
        return str(json.loads(self.body)["subject"])


@dataclass
class Receiver:
    """``faults[path]`` is how the next requests to that path fail, one after another; then all is well."""

    url: str = ""
    secret: str | None = SECRET
    pause: float = 0.0
    """Seconds that each answer takes."""
    got: list[Got] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    hanging: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    at_once: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The most requests of a path and subject that there were at the same time."""
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accepted(self, path: str | None = None) -> list[Got]:
        return [one for one in self.got if one.accepted and path in (None, one.path)]

    def first_arrivals(self) -> dict[tuple[str, str], list[str]]:
        """The ids by path and subject, in the order in which they were accepted first."""
        found: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for one in self.accepted():
            found[one.path, one.subject].setdefault(one.message_id)
        return {key: list(ids) for key, ids in found.items()}

    def begin(self, path: str, subject: str) -> str | None:
        with self._lock:
            self._open[path, subject] += 1
            self.at_once[path, subject] = max(self.at_once[path, subject], self._open[path, subject])
            faults = self.faults.get(path)
            return faults.pop(0) if faults else None

    def end(self, path: str, subject: str, one: Got) -> None:
        with self._lock:
            self._open[path, subject] -= 1
            self.got.append(one)

    def verify(self, one: Got) -> None:
        if self.secret is not None:
            Webhook(self.secret).verify(one.body, one.headers)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            one = Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body, False)
            subject = str(json.loads(body).get("subject"))
            fault = receiver.begin(self.path, subject)
            try:
                time.sleep(receiver.pause)
                one.accepted = self._answer(fault, one)
            except OSError:
                self.close_connection = True
            finally:
                receiver.end(self.path, subject, one)

        def _answer(self, fault: str | None, one: Got) -> bool:
            match fault:
                case None:
                    receiver.verify(one)
                    self._say(204)
                    return True
                case "reset":
                    self.connection.close()
                    self.close_connection = True
                case "hang":
                    receiver.hanging.release()
                    receiver.released.wait(_HANG_SECONDS_MAX)
                    self.close_connection = True
                case "half a head":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-")
                    self.close_connection = True
                case "half a body":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                    self.close_connection = True
                case "garbage":
                    self.wfile.write(b"\0\1\2 no HTTP\r\n\r\n")
                    self.close_connection = True
                case "drip":  # the head, and then a byte of the body now and then, for ever
                    self.wfile.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 100000\r\n\r\n")
                    self._drip(b"x")
                case "drip of a head":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
                    self._drip(b"x")
                case "endless head":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    self._drip(b"X-More: " + b"x" * 1000 + b"\r\n", 0.0)
                case "endless interim answers":
                    self._drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.0)
                case "endless body":
                    self.wfile.write(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
                    self._drip(b"1000\r\n" + b"x" * 4096 + b"\r\n", 0.0)
                case "lost":  # it was taken, and the answer got lost
                    receiver.verify(one)
                    self.connection.close()
                    self.close_connection = True
                    return True
                case "429":
                    self._say(429, {"Retry-After": "120"})
                case "429 absurd":
                    self._say(429, {"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"})
                case "503":
                    self._say(503, {"Retry-After": formatdate(time.time() + 600, usegmt=True)})
                case "redirect":
                    self._say(307, {"Location": f"{receiver.url}/private"})
                case status:
                    self._say(int(status))
            return False

        def _drip(self, data: bytes, pause: float = 0.05) -> None:
            self.close_connection = True
            until = time.monotonic() + _HANG_SECONDS_MAX
            while time.monotonic() < until and not receiver.released.wait(pause):
                self.wfile.write(data)
                self.wfile.flush()

        def _say(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None: ...

    return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *_args: Any) -> None: ...


@contextmanager
def receiving(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[Receiver]:
    """A receiver that listens on this machine."""
    receiver = Receiver(**options)
    with _Server(("127.0.0.1", 0), _handler(receiver)) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and says nothing, as a TLS handshake that never ends."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    """A port that refuses connections."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def ids(rows: Sequence[Any]) -> list[str]:
    return [row.message_id for row in rows]
