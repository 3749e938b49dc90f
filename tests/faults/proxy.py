"""A TCP proxy between a client and PostgreSQL that loses what it is told to lose."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.benchmarks.delay import _through

_CHUNK_BYTES = 1 << 16
_HELD_SECONDS = 0.01


class Proxy:
    """Forwards everything, until ``lose`` says what the next request is to lose.

    lose: ``"request"``: the connection breaks before the server has seen it; ``"reply"``: after the server
    has answered, and nothing of the answer is forwarded; ``"half the reply"``: in the middle of the answer;
    ``"everything"``: nothing is forwarded in either direction, and no connection breaks, until ``heal()``.
    at: only a request that has these bytes in it is meant.
    """

    def __init__(self, host: str, port: int) -> None:
        self.lose: str | None = None
        self.at = b""
        self.lost = 0
        self._met = False
        self._host = host
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self) -> None:
        """What was held is forwarded now."""
        self.lose, self._met = None, False

    def close(self) -> None:
        self.heal()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = self._connect()
                for source, target, work in (
                    (client, server, self._requests),
                    (server, client, self._replies),
                ):
                    threading.Thread(target=work, args=(source, target), daemon=True).start()

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return server
        return socket.create_connection((self._host, self._port))

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        breaks = False
        with suppress(OSError):
            while data := client.recv(_CHUNK_BYTES):
                self._met |= self.lose is not None and self.at in data
                self._hold()
                breaks = self._met and self.lose == "request"
                if breaks:
                    break
                server.sendall(data)
        if breaks:
            self._break(client, server)
        else:
            _shut(server)

    def _replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK_BYTES):
                self._hold()
                if self._met and self.lose in ("reply", "half the reply"):
                    if self.lose == "half the reply":
                        client.sendall(data[: len(data) // 2])
                    self._break(client, server)
                    return
                client.sendall(data)
        _shut(client)

    def _hold(self) -> None:
        while self._met and self.lose == "everything":
            self.lost = 1
            time.sleep(_HELD_SECONDS)

    def _break(self, client: socket.socket, server: socket.socket) -> None:
        """Like a machine that is gone: both ends find out, and neither is told why."""
        self.lose, self._met = None, False
        self.lost += 1
        _shut(client)
        _shut(server)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def lossy(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy to the server of ``dsn``, and the DSN that leads through it."""
    with psycopg.connect(dsn) as connection:
        proxy = Proxy(connection.info.host, connection.info.port)
    try:
        yield proxy, _through(dsn, proxy.port)
    finally:
        proxy.close()
