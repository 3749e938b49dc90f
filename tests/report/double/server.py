"""The server: one port for the API, one for the control API, both on one event loop.

Two ports, because the API's may refuse connections while the test still has to be heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from . import openmeter, wire
from .control import Control
from .exchange import DROP, HALF, Exchange, exchange
from .world import Account

_HOST = "127.0.0.1"
_BACKLOG = 1024
# What ends a connection without being a mistake: the client is gone, or the server stops.
_OVER = (ConnectionError, asyncio.CancelledError)


class Server:
    """A double that listens. All of it runs in one thread, so nothing needs a lock."""

    def __init__(self) -> None:
        self.account = Account()
        self._control = Control(self.account, self)
        self._api: asyncio.Server | None = None
        self._control_server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._holder: socket.socket | None = None

    async def start(self, port: int = 0) -> tuple[str, str]:
        """Listen; returns the URLs of the API and of the control API."""
        self._holder = _bound(port)
        await self.accept()
        self._control_server = await asyncio.start_server(self._serve_control, _HOST, 0)
        control_port = self._control_server.sockets[0].getsockname()[1]
        return f"http://{_HOST}:{self._port}", f"http://{_HOST}:{control_port}"

    async def stop(self) -> None:
        self.account.faults.release(outcome="drop")
        self.refuse()
        if self._control_server:
            self._control_server.close()
        if self._holder:
            self._holder.close()

    async def accept(self) -> None:
        """Take connections; does nothing when it does already."""
        if self._api is None:
            self._api = await asyncio.start_server(self._serve_api, sock=_bound(self._port), backlog=_BACKLOG)

    def refuse(self) -> None:
        """Break all connections and refuse new ones, until ``accept``."""
        if self._api is not None:
            self._api.close()
            self._api = None
        for writer in list(self._connections):
            writer.transport.abort()

    @property
    def _port(self) -> int:
        assert self._holder is not None
        return int(self._holder.getsockname()[1])

    async def _serve_api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with contextlib.suppress(*_OVER):
                while (request := await _next_request(reader, writer)) is not None:
                    answer = openmeter.exchange if request.path.startswith("/api/") else exchange
                    if not await _deliver(await answer(self.account, request), writer):
                        break
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_OVER):
            while (request := await _next_request(reader, writer)) is not None:
                writer.write(wire.encode(await self._control.answer(request)))
                await writer.drain()
        writer.close()


async def _next_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> wire.Request | None:
    try:
        return await wire.read_request(reader)
    except wire.MalformedRequest as error:
        writer.write(wire.encode(wire.Response(400, repr(str(error)).encode()), close=True))
        await writer.drain()
        return None


async def _deliver(outcome: Exchange, writer: asyncio.StreamWriter) -> bool:
    """Send what goes back; False when the connection is over."""
    if outcome.delivery == DROP or outcome.response is None:
        writer.transport.abort()
        return False
    data = wire.encode(outcome.response)
    if outcome.delivery == HALF:
        # Without a body to cut, the status is cut.
        kept = len(data) - len(outcome.response.body) // 2 if outcome.response.body else len("HTTP/1.1 2")
        writer.write(data[:kept])
        await writer.drain()
        return False
    writer.write(data)
    await writer.drain()
    return True


def _bound(port: int) -> socket.socket:
    """A socket that has the port without listening on it.

    The server keeps one for its whole life, so that nobody else gets the port while it refuses connections.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HOST, port))
    return bound
