"""A database that does not answer: a machine that is gone, a network that drops packets, a stopped process.

libpq waits for ever then, and a cancel request, which goes the same way, does not help. statement_timeout is
the server's own, and cannot be relied on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg


@asynccontextmanager
async def cut_off_after(connection: psycopg.AsyncConnection[Any], seconds: float) -> AsyncIterator[None]:
    """Ends the connection if the block takes longer: what waits for it raises OperationalError at once."""
    timer = asyncio.get_running_loop().call_later(seconds, _shut_down, connection)
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connection: psycopg.AsyncConnection[Any]) -> None:
    # Not close(): who waits for the socket would not be woken up.
    with suppress(OSError, psycopg.Error):
        shared = socket.socket(fileno=connection.fileno())
        try:
            shared.shutdown(socket.SHUT_RDWR)
        finally:
            shared.detach()  # it is libpq's
