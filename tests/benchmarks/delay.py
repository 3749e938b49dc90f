"""A TCP proxy that makes every round trip longer: the network between an application and its database.

One process of its own, one thread, no allocation per byte: on a small machine the proxy competes with what is
measured. Every chunk is held back for half of the delay in each direction and forwarded in order. select()
and not epoll, because epoll counts whole milliseconds.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_CHUNK_BYTES = 1 << 16
_BACKLOG = 64
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1000


@contextmanager
def delayed(dsn: str, round_trip_seconds: float) -> Iterator[str]:
    """A DSN of the same database, over a proxy that adds `round_trip_seconds` to every round trip."""
    with psycopg.connect(dsn) as connection:
        host, port = connection.info.host, connection.info.port
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_proxy, args=(theirs, host, port, round_trip_seconds / 2), daemon=True)
    process.start()
    theirs.close()
    try:
        yield _through(dsn, ours.recv())
    finally:
        process.terminate()
        process.join()
        ours.close()


def _through(dsn: str, port: int) -> str:
    if "://" in dsn and urlsplit(dsn).hostname:
        parts = urlsplit(dsn)
        login = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@127.0.0.1:{port}" if login else f"127.0.0.1:{port}").geturl()
    given: dict[str, Any] = {**conninfo_to_dict(dsn), "host": "127.0.0.1", "port": port}
    given.pop("hostaddr", None)
    return make_conninfo("", **given)


def _proxy(ready: Connection, host: str, port: int, delay_seconds: float) -> None:
    if sys.platform == "linux":  # the kernel rounds a sleep up by 50 us unless told otherwise
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS, 0, 0, 0)
    listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    ready.send(listener.getsockname()[1])
    peers: dict[socket.socket, socket.socket] = {}
    held: deque[tuple[float, socket.socket, bytes]] = deque()
    while True:
        timeout = max(0.0, held[0][0] - time.monotonic()) if held else None
        readable = select.select([listener, *peers], (), (), timeout)[0]
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, target, data = held.popleft()
            _forward(peers, target, data)
        for source in readable:
            if source is listener:
                client = listener.accept()[0]
                server = _connect(host, port)
                peers[client], peers[server] = server, client
                _hurry(client)
                _hurry(server)
            elif source in peers:  # it may just have been closed
                with suppress(ConnectionError):
                    held.append((now + delay_seconds, peers[source], source.recv(_CHUNK_BYTES)))
                    continue
                held.append((now + delay_seconds, peers[source], b""))


def _forward(peers: dict[socket.socket, socket.socket], target: socket.socket, data: bytes) -> None:
    """Send on, or close both ends where one has closed."""
    if target not in peers:
        return
    with suppress(ConnectionError):
        if data:
            target.sendall(data)
            return
    for end in (peers.pop(target), target):
        peers.pop(end, None)
        end.close()


def _connect(host: str, port: int) -> socket.socket:
    if host.startswith("/"):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server
    return socket.create_connection((host, port))


def _hurry(end: socket.socket) -> None:
    if end.family != socket.AF_UNIX:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
