"""The server: uvicorn, with limits on what an application does not see, headers and connections."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX = 1000
ARRIVAL_SECONDS = 20.0
"""How long a request may take to arrive: headers and body."""
DRAIN_SECONDS = 20


class Protocol(H11Protocol):
    """Closes a connection on which a request does not arrive in time.

    Without it, clients that send a byte now and then would keep all connections for themselves. h11 and not
    httptools, which would be taken where it is installed: h11 refuses headers of more than 64 KiB.
    """

    arrival_seconds = ARRIVAL_SECONDS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        self._unwatch()  # the time of the next request begins
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._unwatch()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.arrival_seconds, self.transport.abort)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def config(application: ASGIApp, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration of `pymeter web`."""
    return uvicorn.Config(
        application,
        http=Protocol,
        ws="none",
        log_level="warning",
        access_log=False,  # a URL may have a token
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        **options,
    )


def serve(application: ASGIApp, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered."""
    uvicorn.Server(config(application, host=host, port=port)).run()
