"""A TCP proxy between a client and PostgreSQL that loses what it is told to lose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.benchmarks.delay import _through

_CHUNK_BYTES = 1 << 16


class Proxy:
    """Forwards everything, until ``lose`` says what the next request is to lose.

    lose: ``"request"``: the connection breaks before the server has seen it; ``"reply"``: after the server
    has answered, and nothing of the answer is forwarded; ``"half the reply"``: in the middle of the answer.
    """

    def __init__(self, host: str, port: int) -> None:
        self.lose: str | None = None
        self.lost = 0
        self._host = host
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
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
        with suppress(OSError):
            while data := client.recv(_CHUNK_BYTES):
                if self.lose == "request":
                    break
                server.sendall(data)
        if self.lose == "request":
            self._break(client, server)
        else:
            _shut(server)

    def _replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK_BYTES):
                if self.lose in ("reply", "half the reply"):
                    if self.lose == "half the reply":
                        client.sendall(data[: len(data) // 2])
                    self._break(client, server)
                    return
                client.sendall(data)
        _shut(client)

    def _break(self, client: socket.socket, server: socket.socket) -> None:
        """Like a machine that is gone: both ends find out, and neither is told why."""
        self.lose = None
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
