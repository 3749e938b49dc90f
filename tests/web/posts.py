"""An HTTP client that costs next to nothing: it shares the processors with the server that is measured.

One connection, kept alive, one request at a time. It reads what `pymeter web` sends, and no more of HTTP.
"""

from __future__ import annotations

import socket
import time
from typing import Self

_CHUNK_BYTES = 1 << 16
_IDLE_SECONDS_MAX = 3  # the server closes a connection that was idle for 5


class Unanswered(ConnectionError):
    """The connection ended before the answer was complete: nobody knows what was recorded."""


class Poster:
    """``Poster(port, key).post(b"...")`` is the status and the body of the answer."""

    def __init__(self, port: int, key: str, *, seconds: float = 60) -> None:
        self._port, self._seconds = port, seconds
        self._socket: socket.socket | None = None
        self._used_at = 0.0
        self._head = (
            "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: "
        ).encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The next request opens a connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Raises Unanswered if the connection breaks, ConnectionRefusedError if there is no server."""
        if time.monotonic() - self._used_at > _IDLE_SECONDS_MAX:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=self._seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
            status, answer, closes = self._answer(self._socket)
        except OSError as error:
            self.close()
            raise Unanswered(str(error)) from error
        self._used_at = time.monotonic()
        if closes:
            self.close()
        return status, answer

    @staticmethod
    def _answer(server: socket.socket) -> tuple[int, bytes, bool]:
        found = b""
        while (end := found.find(b"\r\n\r\n")) < 0:
            found += _received(server)
        head, body = found[:end].lower(), found[end + 4 :]
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += _received(server)
        return int(head[9:12]), body, b"\r\nconnection: close" in head


def _received(server: socket.socket) -> bytes:
    data = server.recv(_CHUNK_BYTES)
    if not data:
        raise Unanswered("the connection was closed")
    return data
